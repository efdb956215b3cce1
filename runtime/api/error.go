package api

import (
	"errors"
	"fmt"
)

// Code is the name of an error in Dapr's API. It decides which HTTP status and
// which gRPC code say the error, unless the Error overrides them.
type Code string

// Error is an error that both dialects can say.
type Error struct {
	Code    Code
	Message string
	Details []Detail // what a program may want to know besides
	HTTP    int      // the status; 0: that of Code
	GRPC    uint32   // the gRPC code; 0: that of Code
	Err     error    // the reason, for errors.Is; may be nil
}

// Detail is one fact about an error: one of google.rpc's messages of that name.
type Detail struct {
	Type         string // "ErrorInfo", "ResourceInfo" or "BadRequest"
	Reason       string // ErrorInfo: such as DAPR_STATE_NOT_FOUND
	Domain       string // ErrorInfo: "dapr.io"
	Metadata     map[string]string
	ResourceType string // ResourceInfo: such as "state"
	ResourceName string // ResourceInfo
	Field        string // BadRequest: what of the request is wrong
	Description  string // ResourceInfo, BadRequest
}

// Errorf makes an error of that code.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrap makes an error of that code which has err as its reason.
func Wrap(code Code, err error, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Err: err}
}

// AsError gives err as an *Error; one that is none becomes an internal error.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return Wrap(ErrInternal, err, "%v", err)
}

func (e *Error) Error() string { return e.Message }

// Unwrap gives the reason.
func (e *Error) Unwrap() error { return e.Err }

// HTTPStatus gives the HTTP status that says the error.
func (e *Error) HTTPStatus() int {
	if e.HTTP != 0 {
		return e.HTTP
	}
	status, _ := e.Code.says()
	return status
}

// GRPCCode gives the gRPC code that says the error.
func (e *Error) GRPCCode() uint32 {
	if e.GRPC != 0 {
		return e.GRPC
	}
	_, code := e.Code.says()
	return code
}
