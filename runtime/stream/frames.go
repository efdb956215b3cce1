package stream

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"mesh/runtime/h2"
)

// frames is what a call's frames are sent to and received from. It takes over
// what it sends.
type frames interface {
	send(f *outFrame) error
	recv(f *inFrame) error
}

// ourFrames are those of a stream of our own.
type ourFrames struct{ *h2.Stream }

func (s ourFrames) send(f *outFrame) error { return s.Send(f.marshal(), f.how) }

func (s ourFrames) recv(f *inFrame) error {
	m, err := s.Recv()
	if err != nil {
		return err
	}
	defer m.Free()
	if err := f.unmarshal(m); err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	return nil
}

// grpcFrames are those of a call that gRPC's own server takes.
type grpcFrames struct{ grpc.ServerStream }

func (s grpcFrames) send(f *outFrame) error { return s.SendMsg(f) }
func (s grpcFrames) recv(f *inFrame) error  { return s.RecvMsg(f) }
