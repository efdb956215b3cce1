package metrics

// HTTPRequests counts the requests to the HTTP API. The label path is the route,
// not the whole path of a request, which would be a series for every order number.
func HTTPRequests() Metric {
	return Metric{"dapr_http_server_request_count", "HTTP requests that the API has served.", httpLabels()}
}

// HTTPResponses counts the replies of the HTTP API.
func HTTPResponses() Metric {
	return Metric{"dapr_http_server_response_count", "HTTP replies that the API has given.", httpLabels()}
}

// HTTPLatency is how long requests to the HTTP API took, from the first byte of
// the request to the last of the reply.
func HTTPLatency() Metric {
	return Metric{"dapr_http_server_latency", "Milliseconds that HTTP requests to the API took.", httpLabels()}
}

func httpLabels() []string { return []string{"method", "path", "status"} }

// AppCalls counts what the app has answered.
func AppCalls() Metric {
	return Metric{"dapr_http_client_completed_count", "Requests that the app has answered.", httpLabels()}
}

// AppLatency is how long calls to the app took until their reply began.
func AppLatency() Metric {
	return Metric{"dapr_http_client_roundtrip_latency", "Milliseconds until the app's reply began.", httpLabels()}
}

// RPCs counts the calls to the gRPC API.
func RPCs() Metric {
	return Metric{"dapr_grpc_io_server_completed_rpcs", "RPCs that the gRPC servers have completed.", []string{"grpc_server_method", "grpc_server_status"}}
}

// AppRPCs counts calls of the app's own gRPC services that it has answered.
func AppRPCs() Metric {
	return Metric{"dapr_grpc_io_client_completed_rpcs", "RPCs that the app has completed.", []string{"grpc_client_method", "grpc_client_status"}}
}

// PolicyRuns counts calls that a policy was put around.
func PolicyRuns() Metric {
	return Metric{"dapr_resiliency_count", "Calls that a policy was put around.", []string{"policy", "target"}}
}

// PolicyActivations counts how often a policy has struck: a time limit that was
// exceeded, another try, a call that an open circuit has refused.
func PolicyActivations() Metric {
	return Metric{"dapr_resiliency_activations_total", "Times that a policy has struck.", []string{"policy", "target"}}
}

// Circuits says which state a circuit breaker is in: 1 for that one, 0 for others.
func Circuits() Metric {
	return Metric{"dapr_resiliency_cb_state", "State of a circuit breaker: 1 for the one that it is in.", []string{"target", "status"}}
}

// ErrorCodes counts the errors that the API has answered with.
func ErrorCodes() Metric {
	return Metric{"dapr_error_code_total", "Errors that the API has answered with.", []string{"category", "error_code"}}
}
