package front

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Hold keeps one call from taking effect (before) or from being answered (after) until it is released.
type Hold struct {
	ID string `json:"id"`
	Match
	Write int    `json:"write"` // the n-th matching write from now, 1 if not said
	When  string `json:"when"`  // before or after
	State string `json:"state"` // armed, waiting, released, dropped
	Call  uint64 `json:"call"`  // the call that it holds

	release chan struct{}
	waiting chan struct{}
}

// Holds are the holds that were set.
type Holds struct {
	mu   sync.Mutex
	last int
	all  []*Hold
}

// Add arms a hold.
func (h *Holds) Add(hold Hold) (Hold, error) {
	if err := hold.check(); err != nil {
		return hold, err
	}
	if hold.When != "before" && hold.When != "after" {
		return hold, fmt.Errorf(`when is "before" or "after"`)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last++
	hold.ID, hold.State, hold.Write = fmt.Sprintf("hold-%d", h.last), "armed", max(hold.Write, 1)
	hold.release, hold.waiting = make(chan struct{}), make(chan struct{})
	h.all = append(h.all, &hold)
	return hold, nil
}

// take counts a write and returns the hold that it runs into, nil for none.
func (h *Holds) take(method, object string, call uint64) *Hold {
	h.mu.Lock()
	defer h.mu.Unlock()
	var hit *Hold
	for _, hold := range h.all {
		if hold.State != "armed" || hold.Call != 0 || !hold.matches(method, object) {
			continue
		}
		if hold.Write--; hold.Write == 0 && hit == nil {
			hold.Call = call
			hit = hold
		}
	}
	return hit
}

// wait blocks until the hold is released; it is false when the caller has gone away, and then a call that was held before
// its effect has none.
func (h *Holds) wait(ctx context.Context, hold *Hold) bool {
	h.mu.Lock()
	if hold.State == "armed" {
		hold.State = "waiting"
		close(hold.waiting)
	}
	h.mu.Unlock()
	select {
	case <-hold.release:
		return ctx.Err() == nil
	case <-ctx.Done():
		h.mu.Lock()
		hold.State = "dropped"
		h.mu.Unlock()
		return false
	}
}

// Release lets a held call go on, or all with an empty id; a hold that is only armed is disarmed.
func (h *Holds) Release(id string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, hold := range h.all {
		if (id == "" || hold.ID == id) && (hold.State == "armed" || hold.State == "waiting") {
			hold.State = "released"
			close(hold.release)
			n++
		}
	}
	return n
}

// Remove releases and forgets.
func (h *Holds) Remove(id string) {
	h.Release(id)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = keep(h.all, func(hold *Hold) bool { return id != "" && hold.ID != id })
}

// List copies all holds.
func (h *Holds) List() []Hold {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := []Hold{}
	for _, hold := range h.all {
		out = append(out, *hold)
	}
	return out
}

// Await returns a hold, once a call waits in it or the limit has passed.
func (h *Holds) Await(id string, limit time.Duration) (Hold, error) {
	h.mu.Lock()
	var found *Hold
	for _, hold := range h.all {
		if hold.ID == id {
			found = hold
		}
	}
	h.mu.Unlock()
	if found == nil {
		return Hold{}, fmt.Errorf("no hold %q", id)
	}
	select {
	case <-found.waiting:
	case <-found.release:
	case <-time.After(limit):
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return *found, nil
}
