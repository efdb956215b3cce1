package grpcapi

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"

	"mesh/runtime/api"
	"mesh/runtime/stream"
)

// statusOf gives an error of the API as gRPC says it.
func statusOf(err error) error {
	if err == nil {
		return nil
	}
	e, ok := errors.AsType[*api.Error](err)
	if !ok {
		if _, ok := status.FromError(err); ok {
			return err
		}
		return status.FromContextError(err).Err()
	}
	code := codes.Code(e.GRPCCode())
	switch inner := status.Code(e.Err); {
	case inner == codes.PermissionDenied:
		code = inner
	case isTooLarge(e.Err):
		code = codes.ResourceExhausted
	case errors.Is(err, context.Canceled):
		code = codes.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		code = codes.DeadlineExceeded
	}
	st := status.New(code, e.Message)
	details := make([]protoadapt.MessageV1, 0, max(1, len(e.Details)))
	if len(e.Details) == 0 && tellsCode(e.Code) {
		details = append(details, &errdetails.ErrorInfo{Reason: string(e.Code), Domain: "dapr.io"})
	}
	for _, d := range e.Details {
		switch d.Type {
		case "ErrorInfo":
			details = append(details, &errdetails.ErrorInfo{Reason: d.Reason, Domain: d.Domain, Metadata: d.Metadata})
		case "ResourceInfo":
			details = append(details, &errdetails.ResourceInfo{ResourceType: d.ResourceType, ResourceName: d.ResourceName, Description: d.Description})
		case "BadRequest":
			wrong := &errdetails.BadRequest_FieldViolation{Field: d.Field, Description: d.Description}
			details = append(details, &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{wrong}})
		}
	}
	if with, err := st.WithDetails(details...); err == nil {
		st = with
	}
	return st.Err()
}

// isTooLarge says whether a call failed because of the size of its body.
func isTooLarge(err error) bool {
	_, ok := errors.AsType[*stream.BodyLimitError](err)
	return ok
}

// tellsCode says whether an error without details tells its code in one, as from a
// daprd; HTTP has a field for the code.
func tellsCode(c api.Code) bool {
	switch c { //nolint:exhaustive // the others do not
	case api.ErrStateGet, api.ErrStateBulkGet, api.ErrStateSave, api.ErrStateDelete, api.ErrStateTransaction, api.ErrStateOperation,
		api.ErrInvokeOutputBinding, api.ErrConfigurationGet, api.ErrConfigurationSubscribe,
		api.ErrConfigurationStoreNotConfigured, api.ErrConfigurationStoreNotFound:
		return true
	}
	return false
}

// maxErrorText is how much of a body an error tells, as in Dapr.
const maxErrorText = 63

// replyError gives the error that stands for an app's reply with that status.
func replyError(httpStatus int, body []byte) error {
	text := http.StatusText(httpStatus)
	st := status.New(stream.GRPCCode(httpStatus), text)
	detail := &errdetails.ErrorInfo{Reason: text, Domain: "dapr.io", Metadata: map[string]string{
		"http.code":          strconv.Itoa(httpStatus),
		"http.error_message": strings.ToValidUTF8(string(body[:min(len(body), maxErrorText)]), ""),
	}}
	if with, err := st.WithDetails(detail); err == nil {
		st = with
	}
	return st.Err()
}
