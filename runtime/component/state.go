package component

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/dapr/components-contrib/state"
)

// State is a state store as an app sees it. Keys are those of the app: the
// prefix that keeps apps apart is added and taken away here. Values are bytes,
// kept as they are, or anything else, kept as JSON.
type State struct {
	app  *App
	name string
}

// State gives the state store of a name. That it is there is checked by each
// operation, not here.
func (a *App) State(name string) *State { return &State{app: a, name: name} }

// Item is one key with its value.
type Item struct {
	Key         string
	Value       []byte // nil: there is no such key
	ETag        *string
	ContentType string
	Metadata    map[string]string
	Err         error // of this key, in answers to several
}

// Get asks for a key.
type Get struct {
	Key         string
	Consistency string // strong, eventual or empty
	Metadata    map[string]string
}

// Put saves a key, or deletes it.
type Put struct {
	Key         string
	Value       any // []byte, or what is to be kept as JSON
	Delete      bool
	ETag        *string
	Concurrency string // first-write, last-write or empty
	Consistency string
	ContentType string
	Metadata    map[string]string
}

// Page is the answer to a query.
type Page struct {
	Items    []Item
	Token    string // asks for the next page; empty: this was the last
	Metadata map[string]string
}

// ETagError says that a key was not changed because of its ETag.
type ETagError struct {
	Mismatch bool // someone else changed the key; otherwise the ETag is none of this store
	Err      error
}

func (e *ETagError) Error() string { return e.Err.Error() }
func (e *ETagError) Unwrap() error { return e.Err }

// KeyError is the failure of one key among several; errors of operations on
// several keys are joined ones.
type KeyError struct {
	Key string
	Err error
}

func (e *KeyError) Error() string { return e.Key + ": " + e.Err.Error() }
func (e *KeyError) Unwrap() error { return e.Err }

// IllegalKeyError says that no store may hold a key.
type IllegalKeyError struct{ Key string }

func (e *IllegalKeyError) Error() string {
	if e.Key == "" {
		return "a key may not be empty"
	}
	return fmt.Sprintf("input key/keyPrefix '%s' can't contain '%s'", e.Key, separator) // clients of Dapr know the words
}

// separator stands between the prefix of a key and the key.
const separator = "||"

// Get reads one key.
func (s *State) Get(ctx context.Context, g Get) (Item, error) {
	store, sl, done, err := use[state.Store](s.app, KindState, s.name)
	if err != nil {
		return Item{}, err
	}
	defer done()
	key, err := s.full(sl, g.Key)
	if err != nil {
		return Item{}, err
	}
	got, err := store.Get(ctx, &state.GetRequest{Key: key, Metadata: g.Metadata, Options: state.GetStateOption{Consistency: g.Consistency}})
	if err != nil {
		return Item{}, stateError(err)
	}
	item := Item{Key: g.Key}
	if got != nil {
		item.Value, item.ETag, item.Metadata, item.ContentType = got.Data, got.ETag, got.Metadata, deref(got.ContentType)
	}
	return item, nil
}

// GetAll reads several keys, at most parallel at a time; 0 is no limit. A key
// that failed has its error in its Item.
func (s *State) GetAll(ctx context.Context, gets []Get, parallel int) ([]Item, error) {
	store, sl, done, err := use[state.Store](s.app, KindState, s.name)
	if err != nil {
		return nil, err
	}
	defer done()
	reqs := make([]state.GetRequest, len(gets))
	for i, g := range gets {
		key, err := s.full(sl, g.Key)
		if err != nil {
			return nil, err
		}
		reqs[i] = state.GetRequest{Key: key, Metadata: g.Metadata, Options: state.GetStateOption{Consistency: g.Consistency}}
	}
	if len(reqs) == 0 {
		return nil, nil
	}
	got, err := store.BulkGet(ctx, reqs, state.BulkGetOpts{Parallelism: parallel})
	if err != nil {
		return nil, stateError(err)
	}
	items := make([]Item, len(got))
	for i, g := range got {
		items[i] = Item{Key: s.short(sl, g.Key), Value: g.Data, ETag: g.ETag, Metadata: g.Metadata, ContentType: deref(g.ContentType)}
		if g.Error != "" {
			items[i].Err = errors.New(g.Error)
		}
	}
	return items, nil
}

// Put saves and deletes keys, each by itself: those before a failed one, or
// beside it, are done.
func (s *State) Put(ctx context.Context, puts ...Put) error {
	store, sl, done, err := use[state.Store](s.app, KindState, s.name)
	if err != nil {
		return err
	}
	defer done()
	var sets []state.SetRequest
	var deletes []state.DeleteRequest
	for _, p := range puts {
		key, err := s.full(sl, p.Key)
		if err != nil {
			return err
		}
		if p.Delete {
			deletes = append(deletes, p.remove(key))
		} else {
			sets = append(sets, p.set(key))
		}
	}
	var errs []error
	switch len(sets) {
	case 0:
	case 1:
		errs = append(errs, store.Set(ctx, &sets[0]))
	default:
		errs = append(errs, store.BulkSet(ctx, sets, state.BulkStoreOpts{}))
	}
	switch len(deletes) {
	case 0:
	case 1:
		errs = append(errs, store.Delete(ctx, &deletes[0]))
	default:
		errs = append(errs, store.BulkDelete(ctx, deletes, state.BulkStoreOpts{}))
	}
	return s.several(sl, errors.Join(errs...))
}

// Transact saves and deletes keys all together or not at all. Not every store
// can: see ErrUnsupported.
func (s *State) Transact(ctx context.Context, puts []Put, metadata map[string]string) error {
	store, sl, done, err := use[state.TransactionalStore](s.app, KindState, s.name)
	if err != nil {
		return err
	}
	defer done()
	if limited, ok := store.(state.TransactionalStoreMultiMaxSize); ok {
		if most := limited.MultiMaxSize(); most > 0 && len(puts) > most {
			return fmt.Errorf("the transaction has %d operations, the store takes at most %d", len(puts), most)
		}
	}
	req := &state.TransactionalStateRequest{Metadata: metadata}
	for _, p := range puts {
		key, err := s.full(sl, p.Key)
		if err != nil {
			return err
		}
		if p.Delete {
			req.Operations = append(req.Operations, p.remove(key))
		} else {
			req.Operations = append(req.Operations, p.set(key))
		}
	}
	if len(req.Operations) == 0 {
		return nil
	}
	return stateError(store.Multi(ctx, req))
}

// Query finds items by value; q is the JSON of Dapr's query language.
func (s *State) Query(ctx context.Context, q []byte, metadata map[string]string) (Page, error) {
	store, sl, done, err := use[state.Querier](s.app, KindState, s.name)
	if err != nil {
		return Page{}, err
	}
	defer done()
	req := &state.QueryRequest{Metadata: metadata}
	if err := json.Unmarshal(q, &req.Query); err != nil {
		return Page{}, fmt.Errorf("reading the query: %w", err)
	}
	if req.Query.Filters == nil {
		req.Query.Filters = map[string]any{}
	}
	got, err := store.Query(ctx, req)
	if err != nil {
		return Page{}, stateError(err)
	}
	page := Page{Token: got.Token, Metadata: got.Metadata}
	for _, r := range got.Results {
		item := Item{Key: s.short(sl, r.Key), Value: r.Data, ETag: r.ETag, ContentType: deref(r.ContentType)}
		if r.Error != "" {
			item.Err = errors.New(r.Error)
		}
		page.Items = append(page.Items, item)
	}
	return page, nil
}

func (p *Put) set(key string) state.SetRequest {
	r := state.SetRequest{
		Key: key, Value: p.Value, ETag: p.ETag, Metadata: p.Metadata,
		Options: state.SetStateOption{Concurrency: p.Concurrency, Consistency: p.Consistency},
	}
	if p.ContentType != "" {
		r.ContentType = &p.ContentType
	}
	return r
}

func (p *Put) remove(key string) state.DeleteRequest {
	return state.DeleteRequest{
		Key: key, ETag: p.ETag, Metadata: p.Metadata,
		Options: state.DeleteStateOption{Concurrency: p.Concurrency, Consistency: p.Consistency},
	}
}

// prefix gives what stands before the keys of the app, by the component's
// keyPrefix: appid, name, namespace, none, or any other text in lower case.
func (s *State) prefix(sl *slot) string {
	switch p := strings.ToLower(sl.opt.fill(sl.property("keyPrefix"), s.app.id)); p {
	case "", "appid":
		return s.app.id + separator
	case "name":
		return s.name + separator
	case "namespace":
		if sl.opt.Namespace == "" { // as in a daprd that has none
			return s.app.id + separator
		}
		return sl.opt.Namespace + "." + s.app.id + separator
	case "none":
		return ""
	default:
		return p + separator
	}
}

func (s *State) full(sl *slot, key string) (string, error) {
	if key == "" || strings.Contains(key, separator) {
		return "", &IllegalKeyError{Key: key}
	}
	return s.prefix(sl) + key, nil
}

func (s *State) short(sl *slot, key string) string { return strings.TrimPrefix(key, s.prefix(sl)) }

// several turns the error of several keys into joined KeyErrors.
func (s *State) several(sl *slot, err error) error {
	if err == nil {
		return nil
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var errs []error
		for _, e := range many.Unwrap() {
			errs = append(errs, s.several(sl, e))
		}
		if len(errs) == 1 {
			return errs[0]
		}
		return errors.Join(errs...)
	}
	if one, ok := errors.AsType[state.BulkStoreError](err); ok {
		return &KeyError{Key: s.short(sl, one.Key()), Err: stateError(one.Unwrap())}
	}
	return stateError(err)
}

// stateError makes ETag errors those of this package.
func stateError(err error) error {
	if e, ok := errors.AsType[*state.ETagError](err); ok {
		return &ETagError{Mismatch: e.Kind() == state.ETagMismatch, Err: err}
	}
	return err
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
