package api

import (
	"context"

	"mesh/runtime/component"
)

// TryLock takes a lock for some seconds, unless someone has it.
func (a *API) TryLock(ctx context.Context, store, id, owner string, seconds int32) (got bool, err error) {
	f := a.record("lock", store, "lock", id, 0)
	defer func() { f.end(0, err) }()
	switch {
	case id == "":
		return false, Errorf(ErrMalformedRequest, "ResourceId is empty in lock store %s", store)
	case owner == "":
		return false, Errorf(ErrMalformedRequest, "LockOwner is empty in lock store %s", store)
	case seconds <= 0:
		return false, Errorf(ErrMalformedRequest, "ExpiryInSeconds is not positive in lock store %s", store)
	}
	got, err = through(ctx, a, store, func(ctx context.Context) (bool, error) {
		return a.o.Components.Locks(store).TryLock(ctx, id, owner, seconds)
	})
	if err != nil {
		return false, lockError(err, store, ErrTryLock, "failed to try acquiring lock")
	}
	return got, nil
}

// Unlock gives a lock back. The status is Dapr's: 0 done, 1 no such lock, 2
// someone else has it, 3 failed.
func (a *API) Unlock(ctx context.Context, store, id, owner string) (status int32, err error) {
	f := a.record("lock", store, "unlock", id, 0)
	defer func() { f.end(0, err) }()
	failed := int32(component.UnlockFailed)
	switch {
	case id == "":
		return failed, Errorf(ErrMalformedRequest, "ResourceId is empty in lock store %s", store)
	case owner == "":
		return failed, Errorf(ErrMalformedRequest, "LockOwner is empty in lock store %s", store)
	}
	done, err := through(ctx, a, store, func(ctx context.Context) (component.Unlocked, error) {
		return a.o.Components.Locks(store).Unlock(ctx, id, owner)
	})
	if err != nil {
		return failed, lockError(err, store, ErrUnlock, "failed to release lock")
	}
	return int32(done), nil
}

// lockError says an error of a lock component with Dapr's codes.
func lockError(err error, store string, code Code, what string) *Error {
	if none, ok := absent(err); ok {
		if none {
			return Wrap(ErrLockStoreNotConfigured, err, "lock store is not configured")
		}
		return Wrap(ErrLockStoreNotFound, err, "lock store %s not found", store)
	}
	return Wrap(code, err, "%s: %v", what, err)
}
