package metrics

// ComponentMetrics are the two metrics of one way of using components: how
// often, and how long it took in milliseconds.
type ComponentMetrics struct{ Count, Latency Metric }

// Component gives the metrics of a way of using components, such as "state",
// "pubsub_egress" or "output_binding", as Dapr names it; false when there is none.
func Component(way string) (ComponentMetrics, bool) {
	labels := map[string][]string{
		"state":              {"component", "namespace", "operation", "success"},
		"pubsub_egress":      {"component", "namespace", "success", "topic"},
		"pubsub_egress_bulk": {"component", "namespace", "success", "topic"},
		"pubsub_ingress":     {"component", "namespace", "process_status", "status", "topic"},
		"input_binding":      {"component", "namespace", "success"},
		"output_binding":     {"component", "namespace", "operation", "success"},
		"configuration":      {"component", "namespace", "operation", "success"},
		"secret":             {"component", "namespace", "operation", "success"},
	}[way]
	return ComponentMetrics{
		Count:   Metric{"dapr_component_" + way + "_count", "Calls of components: " + way + ".", labels},
		Latency: Metric{"dapr_component_" + way + "_latencies", "Milliseconds that calls of components took: " + way + ".", labels},
	}, labels != nil
}
