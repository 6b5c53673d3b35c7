// Package front stands before the simulator's SOAP service: it logs every call, tells reads from writes, and lets a test
// delay, fail or hold one while the lab runs.
package front

import (
	"encoding/json"
	"fmt"
	"path"
	"reflect"
	"sync"
	"time"

	"github.com/vmware/govmomi/vim25/types"
)

// Match selects calls: shell patterns on the method's and the object's name, "" for any.
type Match struct {
	Method string `json:"method"`
	Object string `json:"object"`
}

func (m Match) matches(method, object string) bool {
	return glob(m.Method, method) && glob(m.Object, object)
}

func glob(pattern, s string) bool {
	if pattern == "" {
		return true
	}
	ok, _ := path.Match(pattern, s)
	return ok
}

func (m Match) check() error {
	for _, p := range []string{m.Method, m.Object} {
		if _, err := path.Match(p, ""); err != nil {
			return fmt.Errorf("pattern %q: %w", p, err)
		}
	}
	return nil
}

// Fault makes matching calls fail.
type Fault struct {
	ID string `json:"id"`
	Match
	Fault      string          `json:"fault"`      // vSphere type, such as NoPermission
	Fields     json.RawMessage `json:"fields"`     // its properties, as vSphere's JSON names them
	Message    string          `json:"message"`    // vCenter's text
	Task       bool            `json:"task"`       // the call succeeds, its task fails
	Disconnect bool            `json:"disconnect"` // the connection breaks instead of an answer
	Skip       int             `json:"skip"`       // let so many pass first
	Times      int             `json:"times"`      // 0 is always
	Hits       int             `json:"hits"`
}

// build makes the vSphere fault, with the object filled in where the type wants one.
func (f *Fault) build(object types.ManagedObjectReference) (types.BaseMethodFault, error) {
	kind, ok := types.TypeFunc()(f.Fault)
	if !ok {
		return nil, fmt.Errorf("fault: vSphere has no type %q", f.Fault)
	}
	value := reflect.New(kind)
	fault, ok := value.Interface().(types.BaseMethodFault)
	if !ok {
		return nil, fmt.Errorf("fault: %q is no fault", f.Fault)
	}
	for _, name := range []string{"Obj", "Object"} {
		field := value.Elem().FieldByName(name)
		if !field.IsValid() {
			continue
		}
		if field.Kind() == reflect.Pointer && field.Type().Elem() == reflect.TypeOf(object) {
			field.Set(reflect.ValueOf(&object))
		} else if field.Type() == reflect.TypeOf(object) {
			field.Set(reflect.ValueOf(object))
		}
	}
	if len(f.Fields) > 0 {
		if err := json.Unmarshal(f.Fields, value.Interface()); err != nil {
			return nil, fmt.Errorf("fields: %w", err)
		}
	}
	if f.Message != "" {
		fault.GetMethodFault().FaultMessage = []types.LocalizableMessage{{Key: "lab.injected", Message: f.Message}}
	}
	return fault, nil
}

// Delay makes matching calls, or the work of their tasks, take longer.
type Delay struct {
	ID string `json:"id"`
	Match
	Seconds float64 `json:"seconds"`
	Task    bool    `json:"task"`
	Hits    int     `json:"hits"`
}

// Rules are the faults and delays in force.
type Rules struct {
	mu     sync.Mutex
	last   int
	faults []*Fault
	delays []*Delay
}

func (r *Rules) id(prefix string) string {
	r.last++
	return fmt.Sprintf("%s-%d", prefix, r.last)
}

// AddFault checks and adds a rule; a later rule does not hide an earlier one.
func (r *Rules) AddFault(f Fault) (*Fault, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	if !f.Disconnect {
		if _, err := f.build(types.ManagedObjectReference{}); err != nil {
			return nil, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	f.ID, f.Hits = r.id("fault"), 0
	r.faults = append(r.faults, &f)
	return &f, nil
}

// AddDelay checks and adds a rule; delays that match the same call add up.
func (r *Rules) AddDelay(d Delay) (*Delay, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	if d.Seconds < 0 {
		return nil, fmt.Errorf("seconds cannot be negative")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	d.ID, d.Hits = r.id("delay"), 0
	r.delays = append(r.delays, &d)
	return &d, nil
}

// Clear removes the rule of the given kind and id, or all of the kind.
func (r *Rules) Clear(kind, id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if kind == "faults" {
		r.faults = keep(r.faults, func(f *Fault) bool { return id != "" && f.ID != id })
	} else {
		r.delays = keep(r.delays, func(d *Delay) bool { return id != "" && d.ID != id })
	}
}

func keep[T any](list []T, wanted func(T) bool) []T {
	out := []T{}
	for _, x := range list {
		if wanted(x) {
			out = append(out, x)
		}
	}
	return out
}

// list copies the rules of a kind for an answer.
func (r *Rules) list(kind string) any {
	r.mu.Lock()
	defer r.mu.Unlock()
	if kind == "faults" {
		out := []Fault{}
		for _, f := range r.faults {
			out = append(out, *f)
		}
		return out
	}
	out := []Delay{}
	for _, d := range r.delays {
		out = append(out, *d)
	}
	return out
}

// fault returns the rule that this call falls under, counted; nil for none.
func (r *Rules) fault(method, object string) *Fault {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.faults {
		if !f.matches(method, object) || (f.Times > 0 && f.Hits >= f.Skip+f.Times) {
			continue
		}
		if f.Hits++; f.Hits > f.Skip {
			hit := *f
			return &hit
		}
	}
	return nil
}

func (r *Rules) delay(method, object string, task bool) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	var sum float64
	for _, d := range r.delays {
		if d.Task == task && d.matches(method, object) {
			d.Hits++
			sum += d.Seconds
		}
	}
	return time.Duration(sum * float64(time.Second))
}

// TaskDelay sleeps as long as the work of a task is to take longer.
func (r *Rules) TaskDelay(method, object string) { time.Sleep(r.delay(method, object, true)) }
