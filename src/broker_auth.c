/* SPDX-License-Identifier: Apache-2.0 */

/* Who we are to the server, and whom we trust: the part of the connection's options that has to do
 * with secrets. A server is trusted when its certificate is for the name that we call it by and an
 * authority that we trust has signed it; nothing here turns that off. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "broker.h"
#include "broker_nats.h"
#include "creds.h"
#include "nkey.h"

/* Servers of a cluster that we learned of carry no user, so the first url's is used for all. */
static natsStatus set_user(struct broker *broker)
{
    const char *url = broker->options.url;
    const char *start = strstr(url, "://");
    start = start == NULL ? url : start + 3;
    size_t host = strcspn(start, "@,");
    char user[256];

    if (start[host] != '@' || host >= sizeof(user))
        return NATS_OK;
    memcpy(user, start, host);
    user[host] = '\0';
    char *password = strchr(user, ':');
    if (password == NULL)
        return natsOptions_SetToken(broker->nats_options, user);
    *password++ = '\0';
    return natsOptions_SetUserInfo(broker->nats_options, user, password);
}

/* A file that the options name is not what it should be. */
static jj_status bad_file(natsStatus s, const char *path, jj_error *err)
{
    if (s == NATS_NO_MEMORY)
        return jj__fail_nats(err, s, path);
    return jj__fail(err, JJ_ERR_INVALID, "%s: %s", path, jj__broker_last_error(s));
}

/* It is there; and whoever else can read it can be us, which is said and borne: containers are
 * given their secrets that way. */
static jj_status check_secret(struct broker *broker, const char *path, jj_error *err)
{
    struct stat facts;

    if (stat(path, &facts) != 0)
        return jj__fail_errno(err, JJ_ERR_INVALID, errno, path);
    if (S_ISREG(facts.st_mode) && (facts.st_mode & (S_IROTH | S_IWOTH)) != 0)
        jj__log(&broker->log, JJ_LOG_WARN, "%s holds a secret and is open to all users: chmod 600",
                path);
    return JJ_OK;
}

/* What is in them is what it should be; who reads them is the signer, later. */
static jj_status check_creds(const char *path, jj_error *err)
{
    struct creds creds;
    jj_status s = jj__creds_read(path, &creds, err);

    jj__secret_wipe(&creds, sizeof(creds));
    return s;
}

static jj_status set_credentials(struct broker *broker, jj_error *err)
{
    const char *path = broker->options.credentials;

    if (path == NULL)
        return JJ_OK;
    jj_status s = check_secret(broker, path, err);
    if (s != JJ_OK)
        return s;
    s = check_creds(path, err);
    if (s != JJ_OK)
        return s;
    natsStatus nats = jj__signer_set(broker->nats_options, &broker->signer, path);
    return nats == NATS_OK ? JJ_OK : bad_file(nats, path, err);
}

static jj_status set_nkey(struct broker *broker, jj_error *err)
{
    const char *path = broker->options.nkey;
    char public[JJ__NKEY_SIZE];

    if (path == NULL)
        return JJ_OK;
    jj_status s = check_secret(broker, path, err);
    if (s == JJ_OK)
        s = jj__nkey_public(path, public, err);
    if (s != JJ_OK)
        return s;
    natsStatus nats = natsOptions_SetNKeyFromSeed(broker->nats_options, public, path);
    return nats == NATS_OK ? JJ_OK : bad_file(nats, path, err);
}

static jj_status set_certificate(struct broker *broker, jj_error *err)
{
    const jj_options *options = &broker->options;

    if (options->tls_cert == NULL)
        return JJ_OK;
    jj_status s = check_secret(broker, options->tls_key, err);
    if (s != JJ_OK)
        return s;
    natsStatus nats = natsOptions_LoadCertificatesChain(broker->nats_options, options->tls_cert,
                                                        options->tls_key);
    return nats == NATS_OK ? JJ_OK : bad_file(nats, options->tls_cert, err);
}

static jj_status set_tls(struct broker *broker, jj_error *err)
{
    const jj_options *options = &broker->options;
    natsOptions *nats = broker->nats_options;
    natsStatus s = NATS_OK;

    if (options->tls_ca == NULL && options->tls_cert == NULL)
        return JJ_OK;
    if (options->tls_ca != NULL)
        s = natsOptions_LoadCATrustedCertificates(nats, options->tls_ca);
    if (s != NATS_OK)
        return bad_file(s, options->tls_ca, err);
    jj_status status = set_certificate(broker, err);
    if (status != JJ_OK)
        return status;
    s = natsOptions_SetSecure(nats, true);
    return s == NATS_OK ? JJ_OK : jj__fail_nats(err, s, "TLS");
}

jj_status jj__auth_options(struct broker *broker, jj_error *err)
{
    natsStatus nats = set_user(broker);
    jj_status s = nats == NATS_OK ? JJ_OK : jj__fail_nats(err, nats, "connection options");

    if (s == JJ_OK)
        s = set_credentials(broker, err);
    if (s == JJ_OK)
        s = set_nkey(broker, err);
    if (s == JJ_OK)
        s = set_tls(broker, err);
    return s;
}
