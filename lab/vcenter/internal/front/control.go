package front

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"triton-fleet/lab/vcenter/internal/lab"
	"triton-fleet/lab/vcenter/internal/site"
)

// Control is the HTTP interface through which a test steers a running lab; see the README for its paths.
type Control struct {
	Token string
	Lab   *lab.Lab
	Gate  *Gate
}

// Handler routes the control interface and asks for its token.
func (c *Control) Handler() http.Handler {
	mux := http.NewServeMux()
	route := func(pattern string, f func(*http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { c.serve(w, r, f) })
	}
	route("GET /calls", c.calls)
	for _, kind := range []string{"faults", "delays"} {
		route("GET /"+kind, func(*http.Request) (any, error) { return c.Gate.Rules.list(kind), nil })
		route("DELETE /"+kind, func(*http.Request) (any, error) { c.Gate.Rules.Clear(kind, ""); return ok(), nil })
		route("DELETE /"+kind+"/{id}", func(r *http.Request) (any, error) { c.Gate.Rules.Clear(kind, r.PathValue("id")); return ok(), nil })
	}
	route("POST /faults", func(r *http.Request) (any, error) { return decoded(r, c.Gate.Rules.AddFault) })
	route("POST /delays", func(r *http.Request) (any, error) { return decoded(r, c.Gate.Rules.AddDelay) })
	route("GET /holds", func(*http.Request) (any, error) { return c.Gate.Holds.List(), nil })
	route("POST /holds", func(r *http.Request) (any, error) { return decoded(r, c.Gate.Holds.Add) })
	route("GET /holds/{id}", c.awaitHold)
	route("POST /holds/{id}/release", c.releaseHold)
	route("DELETE /holds", func(*http.Request) (any, error) { c.Gate.Holds.Remove(""); return ok(), nil })
	route("DELETE /holds/{id}", func(r *http.Request) (any, error) { c.Gate.Holds.Remove(r.PathValue("id")); return ok(), nil })
	route("GET /gpus", func(*http.Request) (any, error) { return c.Lab.GPUs(), nil })
	route("POST /vms", func(r *http.Request) (any, error) {
		return decoded(r, func(v intruder) (any, error) { return ok(), c.Lab.Intrude(v.vm()) })
	})
	route("POST /vms/{name}/guest", func(r *http.Request) (any, error) {
		return decoded(r, func(o lab.GuestOptions) (any, error) { return ok(), c.Lab.SetGuest(r.PathValue("name"), o) })
	})
	route("POST /vms/{name}/shutdown", func(r *http.Request) (any, error) { return ok(), c.Lab.EndGuest(r.PathValue("name")) })
	route("GET /vms/{name}/customization", func(r *http.Request) (any, error) { return c.Lab.QueryCustomization(r.PathValue("name")) })
	route("POST /hosts/{name}", func(r *http.Request) (any, error) {
		return decoded(r, func(h hostState) (any, error) {
			return ok(), c.Lab.SetHost(r.PathValue("name"), h.State, h.Maintenance)
		})
	})
	route("DELETE /sessions", func(*http.Request) (any, error) { return map[string]int{"ended": c.Lab.ExpireSessions()}, nil })
	return mux
}

// intruder is somebody else's VM, as POST /vms describes it.
type intruder struct {
	Name        string            `json:"name"`
	Folder      string            `json:"folder"`
	Cluster     string            `json:"cluster"`
	Host        string            `json:"host"`
	Power       string            `json:"power"`
	CPU         int32             `json:"cpu"`
	MemoryGB    int64             `json:"memory_gb"`
	GPUProfiles []string          `json:"gpu_profiles"`
	Image       string            `json:"image"`
	Network     string            `json:"network"`
	ExtraConfig map[string]string `json:"extra_config"`
}

func (v intruder) vm() site.VM {
	if v.Power == "" {
		v.Power = "on"
	}
	return site.VM{Name: v.Name, Folder: v.Folder, Cluster: v.Cluster, Host: v.Host, Power: v.Power, CPU: v.CPU, MemoryGB: v.MemoryGB,
		GPUProfiles: v.GPUProfiles, Image: v.Image, Network: v.Network, ExtraConfig: v.ExtraConfig}
}

type hostState struct {
	State       string `json:"state"`
	Maintenance *bool  `json:"maintenance"`
}

func ok() map[string]bool { return map[string]bool{"ok": true} }

// decoded reads the request strictly and hands it on.
func decoded[In, Out any](r *http.Request, f func(In) (Out, error)) (any, error) {
	var in In
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	return f(in)
}

func (c *Control) serve(w http.ResponseWriter, r *http.Request, f func(*http.Request) (any, error)) {
	w.Header().Set("Content-Type", "application/json")
	given := []byte(r.Header.Get("Authorization"))
	if subtle.ConstantTimeCompare(given, []byte("Bearer "+c.Token)) != 1 {
		w.WriteHeader(http.StatusUnauthorized)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": "the control token is missing or wrong"})
		return
	}
	result, err := f(r)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		result = map[string]string{"error": err.Error()}
	}
	_ = json.NewEncoder(w).Encode(result)
}

func (c *Control) calls(r *http.Request) (any, error) {
	var since uint64
	if text := r.URL.Query().Get("since"); text != "" {
		var err error
		if since, err = strconv.ParseUint(text, 10, 64); err != nil {
			return nil, errors.New("since is a number")
		}
	}
	calls := c.Gate.Calls.Since(since)
	if r.URL.Query().Get("writes") != "" {
		calls = keep(calls, func(call Call) bool { return call.Write })
	}
	return map[string]any{"last": c.Gate.Calls.Last(), "calls": calls}, nil
}

func (c *Control) awaitHold(r *http.Request) (any, error) {
	wait := 0.0
	if text := r.URL.Query().Get("wait"); text != "" {
		var err error
		if wait, err = strconv.ParseFloat(text, 64); err != nil {
			return nil, errors.New("wait is a number of seconds")
		}
	}
	return c.Gate.Holds.Await(r.PathValue("id"), time.Duration(wait*float64(time.Second)))
}

func (c *Control) releaseHold(r *http.Request) (any, error) {
	return map[string]int{"released": c.Gate.Holds.Release(r.PathValue("id"))}, nil
}
