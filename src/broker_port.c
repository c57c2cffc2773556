/* SPDX-License-Identifier: Apache-2.0 */

/* Ports: subscriptions that outlive a connection, and the messages that come to them. */

#include <stdlib.h>
#include <string.h>

#include "broker.h"
#include "broker_nats.h"

natsStatus jj__port_subscribe(struct port *port)
{
    struct broker *broker = port->broker;
    natsStatus s =
        port->queue == NULL
            ? natsConnection_SubscribeSync(&port->sub, broker->nc, port->subject)
            : natsConnection_QueueSubscribeSync(&port->sub, broker->nc, port->subject, port->queue);

    if (s == NATS_OK)
        s = natsSubscription_SetPendingLimits(port->sub, -1, -1);
    return s;
}

jj_status jj__broker_port_open(struct broker *broker, const struct port_options *options,
                               struct port **port_out, jj_error *err)
{
    struct port *port = calloc(1, sizeof(*port));
    if (port == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "subscription");
    port->broker = broker;
    port->take = options->take;
    port->ctx = options->ctx;
    port->subject = strdup(options->subject);
    port->queue = options->queue == NULL ? NULL : strdup(options->queue);
    natsStatus s = NATS_OK;
    if (port->subject == NULL || (options->queue != NULL && port->queue == NULL))
        s = NATS_NO_MEMORY;
    if (s == NATS_OK && broker->nc != NULL)
        s = jj__port_subscribe(port);
    if (s == NATS_CONNECTION_CLOSED)
        s = NATS_OK; /* made again after the next connect */
    if (s != NATS_OK) {
        natsSubscription_Destroy(port->sub);
        free(port->subject);
        free(port->queue);
        free(port);
        return jj__fail_nats(err, s, options->subject);
    }
    port->next = broker->ports;
    broker->ports = port;
    *port_out = port;
    return JJ_OK;
}

bool jj__broker_port_denied(const struct port *port)
{
    const char *text = NULL;
    natsConnection *nc = port->broker->nc;

    return nc != NULL && natsConnection_GetLastError(nc, &text) == NATS_NOT_PERMITTED &&
           jj__broker_denies(text, "Subscription", port->subject);
}

static void free_closed_ports(struct broker *broker)
{
    struct port **link = &broker->ports;

    broker->ports_closed = false;
    while (*link != NULL) {
        struct port *port = *link;
        if (!port->closed) {
            link = &port->next;
            continue;
        }
        *link = port->next;
        natsSubscription_Destroy(port->sub);
        free(port->subject);
        free(port->queue);
        free(port);
    }
}

void jj__broker_port_close(struct port *port)
{
    if (port == NULL)
        return;
    struct broker *broker = port->broker;

    port->closed = true;
    broker->ports_closed = true;
    if (!broker->draining)
        free_closed_ports(broker);
}

void jj__broker_port_drain(struct port *port)
{
    if (port->sub != NULL)
        jj__ignore(natsSubscription_Drain(port->sub), "without it, less is given back in time");
}

static void drain_port(struct port *port)
{
    natsMsg *msg;

    while (!port->closed && port->sub != NULL) {
        msg = NULL;
        natsStatus s = natsSubscription_NextMsg(&msg, port->sub, 0);
        if (s == NATS_NO_RESPONDERS)
            port->take(port->ctx, NULL);
        else if (s == NATS_OK)
            port->take(port->ctx, (struct broker_msg *)msg);
        else
            break;
    }
}

void jj__ports_drain(struct broker *broker)
{
    broker->draining = true;
    for (struct port *port = broker->ports; port != NULL; port = port->next)
        drain_port(port);
    broker->draining = false;
    if (broker->ports_closed)
        free_closed_ports(broker);
}
