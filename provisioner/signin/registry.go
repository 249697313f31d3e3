package signin

import (
	"errors"
	"fmt"
	"reflect"
	"sync"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/directory"
)

// Opener makes a directory of its declaration. It must not connect yet: a
// directory that is down must not keep anything from starting.
type Opener func(provisioner.Directory) (directory.Directory, error)

// Registry keeps declared directories open, each from its first use until its
// declaration changes.
type Registry struct {
	open Opener

	mu     sync.Mutex
	closed bool
	opened map[string]*opened
}

// opened is closed when it is out of date and nobody uses it any more.
type opened struct {
	declaration provisioner.Directory
	directory   directory.Directory
	users       int
	stale       bool
}

// NewRegistry makes an empty registry; its owner closes it.
func NewRegistry(open Opener) *Registry {
	return &Registry{open: open, opened: make(map[string]*opened)}
}

// Use lends the directory of a declaration to use. A declaration that differs
// from the one known by that name takes its place; calls still under way end
// on the former one, which is closed after them.
func (r *Registry) Use(d provisioner.Directory, use func(directory.Directory) error) (err error) {
	o, err := r.take(d)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.giveBack(o)) }()
	return use(o.directory)
}

var errRegistryClosed = errors.New("the control plane is stopping")

func (r *Registry) take(d provisioner.Directory) (*opened, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, &directory.Error{Cause: directory.Unavailable, Directory: d.Name, Err: errRegistryClosed}
	}
	o, ok := r.opened[d.Name]
	if ok && reflect.DeepEqual(o.declaration, d) {
		o.users++
		return o, nil
	}
	fresh, err := r.open(d)
	if err != nil {
		return nil, fmt.Errorf("opening directory %s: %w", d.Name, err)
	}
	if ok {
		if err := r.retire(o); err != nil {
			return nil, errors.Join(err, fresh.Close())
		}
	}
	o = &opened{declaration: d, directory: fresh, users: 1}
	r.opened[d.Name] = o
	return o, nil
}

func (r *Registry) giveBack(o *opened) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	o.users--
	if o.stale && o.users == 0 {
		return closeDirectory(o)
	}
	return nil
}

// retire closes o now, or leaves it to its last user; r.mu is held.
func (r *Registry) retire(o *opened) error {
	o.stale = true
	delete(r.opened, o.declaration.Name)
	if o.users > 0 {
		return nil
	}
	return closeDirectory(o)
}

func closeDirectory(o *opened) error {
	if err := o.directory.Close(); err != nil {
		return fmt.Errorf("closing directory %s: %w", o.declaration.Name, err)
	}
	return nil
}

// Close closes every directory, each after its last user. Idempotent.
func (r *Registry) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	var errs []error
	for _, o := range r.opened {
		errs = append(errs, r.retire(o))
	}
	return errors.Join(errs...)
}
