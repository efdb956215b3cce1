package api

import (
	"context"
	"errors"
	"strings"

	"mesh/runtime/component"
)

// StateItem is one key with its value.
type StateItem = component.Item

// StateGet asks for a key.
type StateGet = component.Get

// StatePut saves or deletes a key.
type StatePut = component.Put

// StatePage is the answer to a query.
type StatePage = component.Page

// GetState reads a key. Value is nil when there is none.
func (a *API) GetState(ctx context.Context, store string, g StateGet) (item StateItem, err error) {
	f := a.record("state", store, "get", g.Key, 0)
	defer func() { f.end(len(item.Value), err) }()
	item, err = through(ctx, a, store, func(ctx context.Context) (StateItem, error) { return a.o.Components.State(store).Get(ctx, g) })
	if err != nil {
		return StateItem{}, a.stateError(err, store, ErrStateGet, "fail to get "+g.Key+" from state store "+store)
	}
	return item, nil
}

// GetStates reads several keys, at most parallel at a time; 0 is no limit. A key
// that failed has its error in its item.
func (a *API) GetStates(ctx context.Context, store string, gets []StateGet, parallel int) (items []StateItem, err error) {
	f := a.record("state", store, "get", keys(len(gets), func(i int) string { return gets[i].Key }), 0)
	defer func() {
		n := 0
		for i := range items {
			n += len(items[i].Value)
		}
		f.end(n, err)
	}()
	items, err = through(ctx, a, store, func(ctx context.Context) ([]StateItem, error) {
		return a.o.Components.State(store).GetAll(ctx, gets, parallel)
	})
	if err != nil {
		return nil, a.stateError(err, store, ErrStateBulkGet, "fail to get keys from state store "+store)
	}
	return items, nil
}

// SaveState saves keys, each by itself.
func (a *API) SaveState(ctx context.Context, store string, puts []StatePut) (err error) {
	f := a.record("state", store, "save", putKeys(puts), putSize(puts))
	defer func() { f.end(0, err) }()
	if err := a.put(ctx, store, puts); err != nil {
		return a.stateError(err, store, ErrStateSave, "failed saving state in state store "+store)
	}
	return nil
}

func (a *API) put(ctx context.Context, store string, puts []StatePut) error {
	return a.outbound(ctx, store, func(ctx context.Context) error { return a.o.Components.State(store).Put(ctx, puts...) })
}

// DeleteState deletes keys, each by itself.
func (a *API) DeleteState(ctx context.Context, store string, puts []StatePut) (err error) {
	f := a.record("state", store, "delete", putKeys(puts), 0)
	defer func() { f.end(0, err) }()
	for i := range puts {
		puts[i].Delete = true
	}
	if err := a.put(ctx, store, puts); err != nil {
		return a.stateError(err, store, ErrStateDelete, "failed deleting state with key "+putKeys(puts))
	}
	return nil
}

// TransactState saves and deletes keys all together or not at all.
func (a *API) TransactState(ctx context.Context, store string, puts []StatePut, metadata map[string]string) (err error) {
	f := a.record("state", store, "transaction", putKeys(puts), putSize(puts))
	defer func() { f.end(0, err) }()
	err = a.outbound(ctx, store, func(ctx context.Context) error {
		return a.o.Components.State(store).Transact(ctx, puts, metadata)
	})
	if errors.Is(err, component.ErrUnsupported) {
		e := Wrap(ErrStateStoreNotSupported, err, "state store %s doesn't support transactions", store)
		e.GRPC, e.Details = grpcUnimplemented, []Detail{resourceInfo("state", store), info("DAPR_STATE_TRANSACTIONS_NOT_SUPPORTED")}
		return e
	}
	if err != nil {
		return a.stateError(err, store, ErrStateTransaction, "error while executing state transaction")
	}
	return nil
}

// QueryState finds items by value; query is JSON of Dapr's query language.
func (a *API) QueryState(ctx context.Context, store string, query []byte, metadata map[string]string) (page StatePage, err error) {
	f := a.record("state", store, "query", "", len(query))
	defer func() { f.end(0, err) }()
	page, err = through(ctx, a, store, func(ctx context.Context) (StatePage, error) {
		return a.o.Components.State(store).Query(ctx, query, metadata)
	})
	if errors.Is(err, component.ErrUnsupported) {
		e := Wrap(ErrStateStoreNotSupported, err, "state store does not support querying")
		e.Details = []Detail{resourceInfo("state", store), info("DAPR_STATE_QUERYING_NOT_SUPPORTED")}
		return StatePage{}, e
	}
	if err != nil {
		e := a.stateError(err, store, ErrStateQuery, "state store "+store+" query failed")
		if e.Details == nil {
			e.Details = []Detail{resourceInfo("state", store), info("DAPR_STATE_QUERY_FAILED")}
		}
		return StatePage{}, e
	}
	return page, nil
}

// stateError says an error of a state store with Dapr's codes.
func (a *API) stateError(err error, store string, code Code, what string) *Error {
	if none, ok := absent(err); ok {
		e := Wrap(ErrStateStoreNotFound, err, "state store %s is not found", store)
		reason := info("DAPR_STATE_NOT_FOUND")
		if none {
			e = Wrap(ErrStateStoreNotConfigured, err, "state store %s is not configured", store)
			reason = info("DAPR_STATE_NOT_CONFIGURED")
		}
		reason.Metadata = map[string]string{"appID": a.o.AppID}
		e.Details = []Detail{reason}
		return e
	}
	if illegal, ok := errors.AsType[*component.IllegalKeyError](err); ok {
		e := Wrap(ErrMalformedRequest, err, "%v", illegal)
		wrong := Detail{Type: "BadRequest", Field: illegal.Key, Description: e.Message}
		e.Details = []Detail{wrong, resourceInfo("state", store), info("DAPR_STATE_ILLEGAL_KEY")}
		return e
	}
	e := Wrap(code, err, "%s: %v", what, err)
	if tag, ok := errors.AsType[*component.ETagError](err); ok {
		e.HTTP, e.GRPC = 400, grpcInvalidArgument
		if tag.Mismatch {
			e.HTTP, e.GRPC = 409, grpcAborted
		}
	}
	return e
}

func putKeys(puts []StatePut) string {
	return keys(len(puts), func(i int) string { return puts[i].Key })
}

// keys names the first of some keys, for those who watch.
func keys(n int, key func(int) string) string {
	const shown = 3
	var all []string
	for i := range min(n, shown) {
		all = append(all, key(i))
	}
	if n > shown {
		all = append(all, "…")
	}
	return strings.Join(all, ",")
}

// putSize counts the bytes of values that are bytes.
func putSize(puts []StatePut) (n int) {
	for i := range puts {
		switch v := puts[i].Value.(type) {
		case []byte:
			n += len(v)
		case interface{ MarshalJSON() ([]byte, error) }:
			if b, err := v.MarshalJSON(); err == nil { // json.RawMessage gives itself
				n += len(b)
			}
		}
	}
	return n
}
