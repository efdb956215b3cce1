package api

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"mesh/runtime/api/apitest"
	"mesh/runtime/flow"
	"mesh/runtime/stream"
)

func TestErrorsSpeakBothDialects(t *testing.T) {
	// HTTP statuses and gRPC codes that clients of Dapr rely on.
	for _, tc := range []struct {
		code Code
		http int
		grpc uint32
	}{
		{ErrDirectInvoke, 500, 13},
		{ErrMalformedRequest, 400, 3},
		{ErrStateStoreNotConfigured, 500, 9},
		{ErrStateStoreNotFound, 400, 3},
		{ErrStateGet, 500, 13},
		{ErrPubsubNotConfigured, 400, 9},
		{ErrPubsubNotFound, 404, 3},
		{ErrTopicNameEmpty, 404, 3},
		{ErrPubsubForbidden, 403, 7},
		{ErrPublishMessage, 500, 13},
		{ErrSecretStoresNotConfigured, 500, 9},
		{ErrSecretStoreNotFound, 401, 3},
		{ErrPermissionDenied, 403, 7},
		{ErrConfigurationStoreNotFound, 400, 3},
		{ErrLockStoreNotFound, 400, 3},
		{ErrHealthNotReady, 500, 14},
		{ErrActorNoPlacement, 400, 9},
		{ErrActorRuntimeNotFound, 500, 13},
		{"ERR_OF_SOMEONE_ELSE", 500, 13},
	} {
		e := Errorf(tc.code, "x")
		if e.HTTPStatus() != tc.http || e.GRPCCode() != tc.grpc {
			t.Errorf("%s is said with %d and %d, want %d and %d", tc.code, e.HTTPStatus(), e.GRPCCode(), tc.http, tc.grpc)
		}
	}
	special := &Error{Code: ErrDirectInvoke, HTTP: 404, GRPC: 5}
	if special.HTTPStatus() != 404 || special.GRPCCode() != 5 {
		t.Error("an error cannot be said in its own way")
	}
}

func TestAnyErrorCanBeSaid(t *testing.T) {
	reason := errors.New("disk full")
	e := AsError(fmt.Errorf("saving: %w", reason))
	if e.Code != ErrInternal || e.Message != "saving: disk full" || !errors.Is(e, reason) {
		t.Errorf("%+v", e)
	}
	inner := Errorf(ErrStateGet, "no")
	if got := AsError(fmt.Errorf("further out: %w", inner)); got != inner {
		t.Errorf("%+v", got)
	}
}

func TestInvoke(t *testing.T) {
	reason := errors.New("nobody there")
	a := New(Options{AppID: "me", Invoke: stream.HandlerFunc(func(context.Context, *stream.Call) (*stream.Reply, error) {
		return nil, reason
	})})
	_, err := a.Invoke(t.Context(), &stream.Call{AppID: "b"})
	if err == nil || err.Error() != "failed to invoke, id: b, err: nobody there" || !errors.Is(err, reason) {
		t.Errorf("the error is %v", err)
	}
	if _, err := New(Options{}).Invoke(t.Context(), &stream.Call{}); err == nil || !strings.Contains(err.Error(), "not ready") {
		t.Errorf("without a way to invoke: %v", err)
	}
}

// TestAnsweredErrorsAreNotBrokenOff: a component call that fails is recorded as
// what its caller was told; only one without an answer broke off.
func TestAnsweredErrorsAreNotBrokenOff(t *testing.T) {
	flows := flow.NewRecorder()
	defer flows.Watch()()
	a := New(Options{AppID: "me", Components: apitest.Start(t), Flows: flows})
	_, err := a.GetState(t.Context(), "nowhere", StateGet{Key: "k"})
	if err == nil {
		t.Fatal("an unknown store answers")
	}
	if v := flows.Views(1)[0]; v.Status != AsError(err).HTTPStatus() || v.Err != err.Error() || v.Broken() {
		t.Errorf("recorded as %d %q, broken off: %v", v.Status, v.Err, v.Broken())
	}
	a.record("state", "s", "get", "k", 0).end(0, fmt.Errorf("reading: %w", context.Canceled))
	if v := flows.Views(1)[0]; !v.Broken() {
		t.Errorf("a caller who has gone is told %d %q", v.Status, v.Err)
	}
	a.record("binding", "b", "get", "", 0).broke(errors.New("reset"))
	if v := flows.Views(1)[0]; !v.Broken() {
		t.Errorf("an answer that breaks off is %d %q", v.Status, v.Err)
	}
}

func TestExtendedMetadataIsBounded(t *testing.T) {
	a := New(Options{AppID: "me"})
	if err := a.SetMetadata("", "x"); err == nil {
		t.Error("a nameless attribute is taken")
	}
	var err error
	n := 0
	for ; err == nil && n < 2*maxExtended; n++ {
		err = a.SetMetadata(strconv.Itoa(n), "x")
	}
	if err == nil || !strings.Contains(err.Error(), "1024") {
		t.Errorf("after %d attributes: %v", n, err)
	}
	if err := a.SetMetadata("0", "changed"); err != nil || a.Metadata().Extended["0"] != "changed" {
		t.Errorf("an attribute that is there cannot be changed: %v", err)
	}
}

// TestMetadataFollowsTheHealthCheck: what is said of the app's check is what the
// sidecar was told last.
func TestMetadataFollowsTheHealthCheck(t *testing.T) {
	first := &AppHealth{Path: "/first", Threshold: 3}
	a := New(Options{AppID: "me", App: AppConnection{Port: 3000, Health: first}})
	for _, next := range []*AppHealth{first, {Path: "/next", Interval: "1s", Threshold: 2}, nil} {
		a.SetAppHealth(next)
		if got := a.Metadata().App; got.Health != next || got.Port != 3000 {
			t.Errorf("the connection is %+v, want the check %+v", got, next)
		}
	}
	if got := New(Options{App: AppConnection{Health: first}}).Metadata().App.Health; got != first {
		t.Errorf("a new sidecar's check is %+v", got)
	}
}

func TestMetadataIsASnapshot(t *testing.T) {
	a := New(Options{AppID: "me"})
	m := a.Metadata()
	m.Extended["x"] = "y"
	if _, ok := a.Metadata().Extended["x"]; ok {
		t.Error("changing what was returned changes the sidecar")
	}
}

func TestHealthNamesWhatIsMissing(t *testing.T) {
	down := errors.New("the app does not listen yet")
	a := New(Options{AppID: "me", Ready: func() error { return down }})
	if err := a.Health(""); !errors.Is(err, down) || !strings.Contains(err.Error(), "does not listen yet") {
		t.Errorf("health: %v", err)
	}
	if err := a.Health("other"); err == nil || !strings.Contains(err.Error(), "the sidecar of me") {
		t.Errorf("health of another app: %v", err)
	}
	if err := a.OutboundHealth(); err != nil {
		t.Errorf("outbound health must not wait for the app: %v", err)
	}
}
