package front

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/vmware/govmomi/vim25/types"
)

// Inventory is what the gate needs from the lab.
type Inventory interface {
	Name(types.ManagedObjectReference) string
	User(session string) string
	Learn(session, user string)
	FailedTask(session string, this types.ManagedObjectReference, method string, fault types.BaseMethodFault, text string) types.ManagedObjectReference
	WaitTask(ref types.ManagedObjectReference, limit time.Duration)
	// Denied says which privilege a user lacks for a write, "" for none; fields are those that its specification sets.
	Denied(user, method, kind string, fields func() []string) string
}

// Gate is the HTTP handler in front of the simulator's.
type Gate struct {
	Next      http.Handler
	Inventory Inventory
	Rules     *Rules
	Holds     *Holds
	Calls     *Calls
}

// answer collects a response, so that it can be held back.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(p []byte) (int, error) { return a.body.Write(p) }

func (a *answer) send(w http.ResponseWriter) {
	for k, v := range a.header {
		w.Header()[k] = v
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body.Bytes())
}

// outcome is "ok", or the fault's type.
func (a *answer) outcome() string {
	if a.status == http.StatusOK {
		return "ok"
	}
	if fault := between(a.body.Bytes(), `xsi:type="`, `"`); fault != "" {
		return fault
	}
	return http.StatusText(a.status)
}

// ServeHTTP logs the call and lets it through, unless a test has other plans.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || !strings.HasPrefix(r.URL.Path, "/sdk") {
		g.Next.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	_ = r.Body.Close()
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	method, this, login := parse(body)
	key, shown := sessionOf(r)
	user := login
	if user == "" {
		user = g.Inventory.User(key)
	}
	call := &Call{
		Session: shown, User: user, Method: method, Type: this.Type, Moid: this.Value, Name: g.Inventory.Name(this), Write: isWrite(method),
	}
	g.Calls.add(call)

	if !g.delayed(r.Context(), call) || g.denied(w, call, key, this, body) {
		return
	}
	if f := g.Rules.fault(method, call.Name); f != nil && g.inject(w, f, call, key, this) {
		return
	}
	var hold *Hold
	if call.Write {
		hold = g.Holds.take(method, call.Name, call.Seq)
	}
	if hold != nil && hold.When == "before" {
		g.Calls.outcome(call, "held")
		if !g.Holds.wait(r.Context(), hold) {
			g.Calls.outcome(call, "dropped")
			return
		}
	}
	a := g.pass(r, method, this)
	if login != "" {
		g.learn(a, login)
	}
	g.Calls.outcome(call, a.outcome())
	if hold != nil && hold.When == "after" {
		if task := between(a.body.Bytes(), `<returnval type="Task">`, "<"); task != "" {
			g.Inventory.WaitTask(types.ManagedObjectReference{Type: "Task", Value: task}, time.Minute)
		}
		if !g.Holds.wait(r.Context(), hold) {
			return
		}
	}
	a.send(w)
}

// delayed waits as long as a rule says; it returns false if the caller did not.
func (g *Gate) delayed(ctx context.Context, call *Call) bool {
	if d := g.Rules.delay(call.Method, call.Name, false); d > 0 {
		select {
		case <-time.After(d):
		case <-ctx.Done():
			g.Calls.outcome(call, "dropped")
			return false
		}
	}
	return true
}

// denied answers a write for which the session's user lacks a privilege; it returns false if none is lacking.
func (g *Gate) denied(w http.ResponseWriter, call *Call, session string, this types.ManagedObjectReference, body []byte) bool {
	if session == "" || call.User == "" || !call.Write {
		return false
	}
	privilege := g.Inventory.Denied(call.User, call.Method, this.Type, func() []string { return specFields(body) })
	if privilege == "" {
		return false
	}
	writeFault(w, &types.NoPermission{Object: &this, PrivilegeId: privilege}, "Permission to perform this operation was denied.")
	g.Calls.outcome(call, "NoPermission")
	return true
}

// pass hands a call on and collects the answer.
func (g *Gate) pass(r *http.Request, method string, this types.ManagedObjectReference) *answer {
	a := &answer{header: http.Header{}, status: http.StatusOK}
	if strings.HasPrefix(method, "WaitForUpdates") {
		answered := make(chan struct{})
		defer close(answered)
		go g.cancelWait(r, this, answered)
	}
	g.Next.ServeHTTP(a, r)
	if method == "Fetch" && bytes.Contains(a.body.Bytes(), []byte("<RetrievePropertiesExResponse")) {
		a.body.Reset() // an unset property is an empty answer, which is how pyVmomi comes to return None
		a.body.WriteString(envelopeHead + `<FetchResponse xmlns="urn:vim25"></FetchResponse>` + envelopeTail)
	}
	return a
}

// learn remembers whose session a login began.
func (g *Gate) learn(a *answer, login string) {
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		if c.Name == sessionCookie {
			g.Inventory.Learn(strings.Trim(c.Value, `"`), login)
		}
	}
}

// inject answers with a fault; it returns false if the call has to go on after all.
func (g *Gate) inject(w http.ResponseWriter, f *Fault, call *Call, session string, this types.ManagedObjectReference) bool {
	if f.Disconnect {
		g.Calls.outcome(call, "disconnected")
		if h, ok := w.(http.Hijacker); ok {
			if conn, _, err := h.Hijack(); err == nil {
				_ = conn.Close()
			}
		}
		return true
	}
	fault, err := f.build(this)
	if err != nil {
		return false
	}
	text := f.Message
	if text == "" {
		text = f.Fault
	}
	if !f.Task {
		writeFault(w, fault, f.Message)
		g.Calls.outcome(call, f.Fault)
		return true
	}
	if session == "" || call.User == "" || !strings.HasSuffix(call.Method, "_Task") {
		return false
	}
	writeTask(w, call.Method, g.Inventory.FailedTask(session, this, call.Method, fault, text))
	g.Calls.outcome(call, "ok")
	return true
}

// cancelWait ends a wait for updates whose client has gone away: the library would poll for it as long as the lab lives.
func (g *Gate) cancelWait(r *http.Request, collector types.ManagedObjectReference, answered <-chan struct{}) {
	select {
	case <-answered:
		return
	case <-r.Context().Done():
	}
	select {
	case <-answered: // the context also ends when the answer has been sent
		return
	default:
	}
	body := envelopeHead + `<CancelWaitForUpdates xmlns="urn:vim25"><_this type="PropertyCollector">` + collector.Value +
		`</_this></CancelWaitForUpdates>` + envelopeTail
	cancel := r.Clone(context.Background())
	cancel.Body = io.NopCloser(strings.NewReader(body))
	g.Next.ServeHTTP(&answer{header: http.Header{}, status: http.StatusOK}, cancel)
}
