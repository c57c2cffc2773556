// SPDX-License-Identifier: Apache-2.0

// jetjobs from Go, with nothing but the NATS client github.com/nats-io/nats.go.
//
//	go mod init jobs && go mod tidy     once, in a folder with a copy of this file
//	go run . [URL]                      beside `jetjobs --config ../node/jetjobs.yaml up`
//
// Not built or run by the tests; ../node does the same and is.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"regexp"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
)

// Names and ids go into subjects, so what comes from outside is checked.
var token = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

const rfc3339 = "2006-01-02T15:04:05.000Z"

// publish stores a job under a new id, and returns that and its place in the stream.
func publish(js nats.JetStreamContext, name, later string, more nats.Header, data any) (string, string, error) {
	if !token.MatchString(name) {
		return "", "", fmt.Errorf("name %q is not 1 to 64 of A-Z a-z 0-9 _ -", name)
	}
	id := nuid.Next()
	msg := nats.NewMsg("jobs.enqueue." + name)
	if later != "" {
		msg.Subject = "jobs.schedule." + name + "." + id
	}
	for key, values := range more {
		msg.Header[key] = values
	}
	msg.Header["Job-Id"] = []string{id}
	msg.Header["Nats-Msg-Id"] = []string{id} // a publish that is repeated makes no second job
	msg.Header["Job-Created-At"] = []string{time.Now().UTC().Format(rfc3339)}
	msg.Header["Content-Type"] = []string{"application/json"}
	msg.Data, _ = json.Marshal(data)
	ack, err := js.PublishMsg(msg)
	if err != nil {
		return "", "", err
	}
	return id, strconv.FormatUint(ack.Sequence, 10), nil
}

// enqueue returns the job's id, and the header to ask with so that it is found.
func enqueue(js nats.JetStreamContext, name string, data any) (string, nats.Header, error) {
	id, seq, err := publish(js, name, "", nil, data)
	return id, nats.Header{"Jobs-Seq": {seq}}, err
}

func schedule(js nats.JetStreamContext, name string, data any, at time.Time) (string, nats.Header, error) {
	// The server's timer may be late: half a second early, and a mover holds it until then.
	early := at.Add(-500 * time.Millisecond).UTC().Format(rfc3339)
	id, seq, err := publish(js, name, early, nats.Header{
		"Nats-Schedule":        {"@at " + early},
		"Nats-Schedule-Target": {"jobs.due." + name},
		"Job-Run-At":           {at.UTC().Format(rfc3339)},
	}, data)
	return id, nats.Header{"Jobs-Schedule-Seq": {seq}}, err
}

// ask the index service: get, cancel, retry, logs.
func ask(nc *nats.Conn, what, id string, header nats.Header) (string, error) {
	msg := nats.NewMsg("jobs." + what)
	msg.Header = header
	msg.Data = []byte(`{"id":"` + id + `"}`)
	answer, err := nc.RequestMsg(msg, 35*time.Second)
	if err != nil {
		return "", err
	}
	if text := answer.Header["Nats-Service-Error"]; len(text) > 0 {
		return "", fmt.Errorf("%s", text[0])
	}
	return string(answer.Data), nil
}

// greet is the handler of the jobs "greet": a worker sends them to svc.greet.
func greet(msg *nats.Msg) {
	var data struct{ Name string }
	reply := nats.NewMsg(msg.Reply)
	if json.Unmarshal(msg.Data, &data) != nil || data.Name == "" {
		// 4xx: trying again can't help; 5xx: it can
		reply.Header["Nats-Service-Error-Code"] = []string{"400"}
		reply.Header["Nats-Service-Error"] = []string{"nobody to greet"}
	} else {
		reply.Data, _ = json.Marshal(map[string]string{"greeting": "hello, " + data.Name})
	}
	_ = msg.RespondMsg(reply)
}

func run(url string) error {
	nc, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := nc.JetStream()
	if err != nil {
		return err
	}
	if _, err = nc.QueueSubscribe("svc.greet", "handlers", greet); err != nil {
		return err
	}
	show := func(msg *nats.Msg) { fmt.Println("live:", msg.Subject) }
	if _, err = nc.Subscribe("job.greet.*", show); err != nil {
		return err
	}

	id, after, err := enqueue(js, "greet", map[string]string{"name": "Ada"})
	if err != nil {
		return err
	}
	after["Jobs-Wait"] = []string{"30000"}
	answer, err := ask(nc, "get", id, after)
	fmt.Println(answer, err)

	id, after, err = schedule(js, "greet", map[string]string{"name": "Eve"}, time.Now().Add(time.Hour))
	if err != nil {
		return err
	}
	answer, err = ask(nc, "cancel", id, after)
	fmt.Println(answer, err)

	// The stored events, in protobuf: protoc makes Go of broker/jetjobs.proto.
	history, err := js.SubscribeSync("jobs.events.greet.*", nats.OrderedConsumer())
	if err != nil {
		return err
	}
	msg, err := history.NextMsg(5 * time.Second)
	if err == nil {
		fmt.Println("stored:", msg.Subject, len(msg.Data), "bytes")
	}
	return err
}

func main() {
	url := nats.DefaultURL
	if len(os.Args) > 1 {
		url = os.Args[1]
	}
	if err := run(url); err != nil {
		log.Fatal(err)
	}
}
