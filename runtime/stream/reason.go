package stream

import (
	"errors"
	"strconv"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"mesh/runtime/h2"
)

// What one of our sidecars tells another beside the words of an error, in the
// details of its status, where a daprd does not look.
const (
	reasonDomain      = "mesh"
	reasonUnreachable = "APP_UNREACHABLE" // nothing of the call has reached the app
	reasonBodyLimit   = "BODY_LIMIT"

	limitKey, appKey = "limit", "app"
)

// WithReason adds to the status of a call that failed why it did, as far as the
// other side can make use of it.
func WithReason(st *status.Status, err error) *status.Status {
	info := &errdetails.ErrorInfo{Domain: reasonDomain}
	if limit, ok := errors.AsType[*BodyLimitError](err); ok {
		info.Reason = reasonBodyLimit
		info.Metadata = map[string]string{appKey: limit.AppID, limitKey: strconv.FormatInt(limit.Limit, 10)}
	} else if _, ok := errors.AsType[*UnreachableError](err); ok {
		info.Reason = reasonUnreachable
	} else {
		return st
	}
	if more, err := st.WithDetails(info); err == nil {
		return more
	}
	return st
}

// Addr gives the host:port of the peer.
func (o *Outbound) Addr() string { return o.addr }

func (o *Outbound) reasoned(err error) error { return Reasoned(o.addr, err) }

// Reasoned gives the error that a peer's status stands for.
func Reasoned(addr string, err error) error {
	if refused, ok := errors.AsType[*h2.NotProcessedError](err); ok {
		return &NotDeliveredError{Addr: addr, Err: refused}
	}
	st, ok := status.FromError(err)
	if !ok {
		return err
	}
	for _, detail := range st.Details() {
		info, ok := detail.(*errdetails.ErrorInfo)
		if !ok || info.GetDomain() != reasonDomain {
			continue
		}
		switch info.GetReason() {
		case reasonBodyLimit:
			limit, _ := strconv.ParseInt(info.GetMetadata()[limitKey], 10, 64) // what is no number shows as 0
			return &BodyLimitError{AppID: info.GetMetadata()[appKey], Limit: limit}
		case reasonUnreachable:
			return &NotDeliveredError{Addr: addr, Err: errors.New(st.Message())}
		}
	}
	// What a daprd says before it has looked at the body.
	if st.Code() == codes.Internal && (st.Message() == "app channel is not initialized" || st.Message() == "app is not in a healthy state") {
		return &NotDeliveredError{Addr: addr, Err: errors.New(st.Message())}
	}
	return err
}
