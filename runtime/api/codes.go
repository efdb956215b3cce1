package api

// The errors of Dapr's API, by building block.
const (
	ErrInternal         Code = "ERR_INTERNAL"
	ErrUnavailable      Code = "ERR_UNAVAILABLE"
	ErrMalformedRequest Code = "ERR_MALFORMED_REQUEST"
	ErrMalformedReply   Code = "ERR_MALFORMED_RESPONSE"
	ErrBodyRead         Code = "ERR_BODY_READ"
	ErrAppChannelNil    Code = "ERR_APP_CHANNEL_NIL"

	ErrHealthNotReady         Code = "ERR_HEALTH_NOT_READY"
	ErrHealthAppIDNotMatch    Code = "ERR_HEALTH_APPID_NOT_MATCH"
	ErrOutboundHealthNotReady Code = "ERR_OUTBOUND_HEALTH_NOT_READY"

	ErrDirectInvoke     Code = "ERR_DIRECT_INVOKE"
	ErrPermissionDenied Code = "ERR_PERMISSION_DENIED"

	ErrStateStoreNotConfigured Code = "ERR_STATE_STORE_NOT_CONFIGURED"
	ErrStateStoreNotFound      Code = "ERR_STATE_STORE_NOT_FOUND"
	ErrStateStoreNotSupported  Code = "ERR_STATE_STORE_NOT_SUPPORTED"
	ErrStateOperation          Code = "ERR_NOT_SUPPORTED_STATE_OPERATION"
	ErrStateGet                Code = "ERR_STATE_GET"
	ErrStateBulkGet            Code = "ERR_STATE_BULK_GET"
	ErrStateSave               Code = "ERR_STATE_SAVE"
	ErrStateDelete             Code = "ERR_STATE_DELETE"
	ErrStateTransaction        Code = "ERR_STATE_TRANSACTION"
	ErrStateQuery              Code = "ERR_STATE_QUERY"

	ErrPubsubNotConfigured Code = "ERR_PUBSUB_NOT_CONFIGURED"
	ErrPubsubNotFound      Code = "ERR_PUBSUB_NOT_FOUND"
	ErrPubsubEmpty         Code = "ERR_PUBSUB_EMPTY"
	ErrPubsubForbidden     Code = "ERR_PUBSUB_FORBIDDEN"
	ErrPubsubEnvelope      Code = "ERR_PUBSUB_CLOUD_EVENTS_SER"
	ErrPubsubEvents        Code = "ERR_PUBSUB_EVENTS_SER"
	ErrPubsubMetadata      Code = "ERR_PUBSUB_REQUEST_METADATA"
	ErrPublishMessage      Code = "ERR_PUBSUB_PUBLISH_MESSAGE"
	ErrTopicNameEmpty      Code = "ERR_TOPIC_NAME_EMPTY"

	ErrInvokeOutputBinding Code = "ERR_INVOKE_OUTPUT_BINDING"

	ErrSecretStoresNotConfigured Code = "ERR_SECRET_STORES_NOT_CONFIGURED"
	ErrSecretStoreNotFound       Code = "ERR_SECRET_STORE_NOT_FOUND"
	ErrSecretGet                 Code = "ERR_SECRET_GET"

	ErrConfigurationStoreNotConfigured Code = "ERR_CONFIGURATION_STORE_NOT_CONFIGURED"
	ErrConfigurationStoreNotFound      Code = "ERR_CONFIGURATION_STORE_NOT_FOUND"
	ErrConfigurationGet                Code = "ERR_CONFIGURATION_GET"
	ErrConfigurationSubscribe          Code = "ERR_CONFIGURATION_SUBSCRIBE"
	ErrConfigurationUnsubscribe        Code = "ERR_CONFIGURATION_UNSUBSCRIBE"

	ErrLockStoreNotConfigured Code = "ERR_LOCK_STORE_NOT_CONFIGURED"
	ErrLockStoreNotFound      Code = "ERR_LOCK_STORE_NOT_FOUND"
	ErrTryLock                Code = "ERR_TRY_LOCK"
	ErrUnlock                 Code = "ERR_UNLOCK"

	ErrActorRuntimeNotFound Code = "ERR_ACTOR_RUNTIME_NOT_FOUND"
	ErrActorNoAppChannel    Code = "ERR_ACTOR_NO_APP_CHANNEL"
	ErrActorNoPlacement     Code = "ERR_ACTOR_NO_PLACEMENT"
)

// The gRPC codes that the table below uses.
const (
	grpcInvalidArgument    = 3
	grpcPermissionDenied   = 7
	grpcResourceExhausted  = 8
	grpcFailedPrecondition = 9
	grpcAborted            = 10
	grpcUnimplemented      = 12
	grpcInternal           = 13
	grpcUnavailable        = 14
)

// says gives the HTTP status and the gRPC code with which a code is said.
func (c Code) says() (status int, grpc uint32) {
	switch c {
	case ErrMalformedRequest, ErrStateStoreNotFound, ErrConfigurationStoreNotFound, ErrLockStoreNotFound,
		ErrPubsubMetadata, ErrBodyRead:
		return 400, grpcInvalidArgument
	case ErrPubsubNotConfigured, ErrActorNoAppChannel, ErrActorNoPlacement:
		return 400, grpcFailedPrecondition
	case ErrSecretStoreNotFound:
		return 401, grpcInvalidArgument
	case ErrPermissionDenied, ErrPubsubForbidden:
		return 403, grpcPermissionDenied
	case ErrPubsubNotFound, ErrPubsubEmpty, ErrTopicNameEmpty:
		return 404, grpcInvalidArgument
	case ErrStateStoreNotConfigured, ErrSecretStoresNotConfigured, ErrConfigurationStoreNotConfigured, ErrLockStoreNotConfigured,
		ErrHealthAppIDNotMatch:
		return 500, grpcFailedPrecondition
	case ErrHealthNotReady, ErrOutboundHealthNotReady, ErrUnavailable:
		return 500, grpcUnavailable
	case ErrInternal, ErrMalformedReply, ErrAppChannelNil, ErrDirectInvoke,
		ErrStateStoreNotSupported, ErrStateOperation, ErrStateGet, ErrStateBulkGet, ErrStateSave, ErrStateDelete,
		ErrStateTransaction, ErrStateQuery,
		ErrPubsubEnvelope, ErrPubsubEvents, ErrPublishMessage, ErrInvokeOutputBinding, ErrSecretGet,
		ErrConfigurationGet, ErrConfigurationSubscribe, ErrConfigurationUnsubscribe,
		ErrTryLock, ErrUnlock, ErrActorRuntimeNotFound:
		return 500, grpcInternal
	}
	return 500, grpcInternal
}
