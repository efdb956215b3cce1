package runtime

import (
	"strconv"
	"time"

	"mesh/runtime/api"
	"mesh/runtime/deliver"
	"mesh/runtime/metrics"
)

// used is told of every call of a component.
func (m *meter) used(u api.Use) {
	success := strconv.FormatBool(!u.Failed)
	switch u.Kind {
	case "publish":
		way := "pubsub_egress"
		if u.Operation == "bulk publish" {
			way = "pubsub_egress_bulk"
		}
		m.component(way, u.Took, u.Component, m.namespace, success, u.Path)
	case "delivery":
		m.component("pubsub_ingress", u.Took, u.Component, m.namespace, u.Operation, u.Operation, u.Path)
	case "binding":
		m.component("output_binding", u.Took, u.Component, m.namespace, u.Operation, success)
	default:
		operation := u.Operation
		if operation == "save" {
			operation = "set" // as dashboards know it
		}
		m.component(u.Kind, u.Took, u.Component, m.namespace, operation, success)
	}
}

// delivered is told of everything that was delivered to the app.
func (m *meter) delivered(o deliver.Outcome) {
	if o.Kind == "binding" {
		m.component("input_binding", o.Took, o.Component, m.namespace, strconv.FormatBool(o.Status == "success"))
		return
	}
	m.component("pubsub_ingress", o.Took, o.Component, m.namespace, o.Status, o.Status, o.Topic)
}

func (m *meter) component(way string, took time.Duration, labels ...string) {
	if c, ok := metrics.Component(way); ok {
		m.to.Count(c.Count, labels...)
		m.to.Observe(c.Latency, took, labels...)
	}
}
