package policy

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestAgainOn(t *testing.T) {
	parse := func(text string) Codes {
		c, err := ParseCodes(text)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	rpc := func(c codes.Code, http int) Outcome { return Outcome{Status: http, GRPC: status.New(c, "")} }
	tests := []struct {
		name       string
		http, grpc Codes
		outcome    Outcome
		want       bool
	}{
		{"a listed status", parse("429,500-504"), nil, Outcome{Status: 429}, true},
		{"one that is not", parse("429,500-504"), nil, Outcome{Status: 505}, false},
		{"statuses say nothing of gRPC", parse("429"), nil, rpc(codes.Unavailable, 503), true},
		{"codes say nothing of HTTP", nil, parse("14"), Outcome{Status: 500}, true},
		{"a listed code", nil, parse("2,14"), rpc(codes.Unknown, 500), true},
		{"one that is not listed", nil, parse("2,14"), rpc(codes.Internal, 500), false},
		{"no reply", parse("429"), parse("14"), Outcome{Err: errors.New("broken")}, true},
		{"the caller has gone", parse("429"), nil, Outcome{Err: context.Canceled}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := AgainOn(tt.http, tt.grpc)(tt.outcome); got != tt.want {
				t.Errorf("tried again: %v, want %v", got, tt.want)
			}
		})
	}
}
