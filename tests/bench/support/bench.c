/* SPDX-License-Identifier: Apache-2.0 */

#include "bench.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "role.h"

#define QUICK_PART 10

/* ---- the command line ---- */

static _Noreturn void usage(const char *name)
{
    fprintf(stderr, "usage: bench_%s [--quick] [--sync-always] [--json FILE]\n", name);
    exit(2);
}

static void read_arguments(struct bench *bench, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0)
            bench->quick = true;
        else if (strcmp(argv[i], "--sync-always") == 0)
            bench->always = true;
        else if (strcmp(argv[i], "--json") == 0 && i + 1 < argc)
            bench->json = fopen(argv[++i], "a");
        else
            usage(bench->name);
        if (strcmp(argv[i - 1], "--json") == 0 && bench->json == NULL) {
            perror(argv[i]);
            exit(1);
        }
    }
}

void bench_begin(struct bench *bench, const char *name, int argc, char **argv)
{
    role_play(argc, argv);
    *bench = (struct bench){.name = name};
    read_arguments(bench, argc, argv);
    setvbuf(stdout, NULL, _IOLBF, 0);
    server_start(&bench->server, &(struct server_options){.sync_always = bench->always});
    printf("\n%s%s\n%-46s %10s %-7s %10s %-30s %6s\n", name,
           bench->always ? ", with sync_interval: always" : "", "", "", "", "beside it", "",
           "ratio");
}

void bench_end(struct bench *bench)
{
    server_done(&bench->server);
    if (bench->json != NULL)
        fclose(bench->json);
}

size_t bench_count(const struct bench *bench, size_t full)
{
    return bench->quick ? full / QUICK_PART : full;
}

/* ---- rows ---- */

static bool is_met(const struct row *row)
{
    double ratio = row->yardstick > 0 ? row->value / row->yardstick : 0;

    if (row->bar > 0 && (row->at_most ? ratio > row->bar : ratio < row->bar))
        return false;
    return row->bar_value <= 0 ||
           (row->at_most ? row->value <= row->bar_value : row->value >= row->bar_value);
}

static void print_number(double number)
{
    int decimals = number < 10 ? 3 : number < 1000 ? 1 : 0;

    printf(" %10.*f", decimals, number);
}

static void print_bar(const struct row *row)
{
    if (row->bar > 0)
        printf("  %s %g: %s", row->at_most ? "<=" : ">=", row->bar, is_met(row) ? "met" : "missed");
    else if (row->bar_value > 0)
        printf("  %s %g %s: %s", row->at_most ? "<=" : ">=", row->bar_value, row->unit,
               is_met(row) ? "met" : "missed");
}

static void write_json(const struct bench *bench, const struct row *row)
{
    fprintf(bench->json,
            "{\"bench\":\"%s\",\"sync\":\"%s\",\"what\":\"%s\",\"value\":%.6g,"
            "\"unit\":\"%s\"",
            bench->name, bench->always ? "always" : "default", row->what, row->value, row->unit);
    if (row->beside != NULL)
        fprintf(bench->json, ",\"beside\":\"%s\",\"yardstick\":%.6g,\"ratio\":%.4g", row->beside,
                row->yardstick, row->yardstick > 0 ? row->value / row->yardstick : 0);
    if (row->bar > 0 || row->bar_value > 0)
        fprintf(bench->json, ",\"bar\":\"%s %g\",\"met\":%s",
                row->at_most ? "<=" : ">=", row->bar > 0 ? row->bar : row->bar_value,
                is_met(row) ? "true" : "false");
    fputs("}\n", bench->json);
    fflush(bench->json);
}

void bench_row(const struct bench *bench, const struct row *row)
{
    printf("%-46s", row->what);
    print_number(row->value);
    printf(" %-7s", row->unit);
    if (row->beside != NULL) {
        print_number(row->yardstick);
        printf(" %-30s %6.2f", row->beside, row->yardstick > 0 ? row->value / row->yardstick : 0);
    } else {
        printf(" %10s %-30s %6s", "", "", "");
    }
    print_bar(row);
    putchar('\n');
    if (bench->json != NULL)
        write_json(bench, row);
}

/* ---- figures ---- */

static int compare_doubles(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static double median(double *values, size_t count)
{
    if (count == 0)
        return 0;
    qsort(values, count, sizeof(*values), compare_doubles);
    return count % 2 == 1 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

void rounds_add(struct rounds *rounds, double value)
{
    if (rounds->count < ROUNDS_MAX)
        rounds->values[rounds->count++] = value;
}

double rounds_median(const struct rounds *rounds)
{
    struct rounds sorted = *rounds;

    return median(sorted.values, sorted.count);
}

double rounds_ratio(const struct rounds *values, const struct rounds *yardsticks)
{
    struct rounds ratios = {.count = values->count};

    for (size_t i = 0; i < ratios.count; i++)
        ratios.values[i] = values->values[i] / yardsticks->values[i];
    return rounds_median(&ratios);
}

static int compare_times(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

void times_sort(int64_t *times, size_t count)
{
    qsort(times, count, sizeof(*times), compare_times);
}

double times_part_ms(const int64_t *sorted_us, size_t count, double part)
{
    if (count == 0)
        return 0;
    size_t at = (size_t)((double)count * part);

    return (double)sorted_us[at < count ? at : count - 1] / 1000;
}

void bench_fail(const char *what, const jj_error *err)
{
    fprintf(stderr, "%s: %s\n", what, err == NULL ? "failed" : err->text);
    exit(1);
}

void bench_must(jj_status s, const char *what, const jj_error *err)
{
    if (s != JJ_OK)
        bench_fail(what, err);
}

double seconds_since(int64_t from_us)
{
    return (double)(jj__clock_mono_us() - from_us) / 1e6;
}
