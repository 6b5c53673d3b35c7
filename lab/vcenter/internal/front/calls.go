package front

import (
	"strings"
	"sync"
	"time"
)

// Call is one entry of the log.
type Call struct {
	Seq     uint64    `json:"seq"`
	Time    time.Time `json:"time"`
	Session string    `json:"session"` // a fingerprint, not the key
	User    string    `json:"user"`
	Method  string    `json:"method"`
	Type    string    `json:"type"`
	Moid    string    `json:"moid"`
	Name    string    `json:"name"`
	Write   bool      `json:"write"`
	Millis  float64   `json:"ms"`
	Outcome string    `json:"outcome"` // running, ok, a fault's type, held, dropped
}

// Calls is the log of a lab's life.
type Calls struct {
	mu  sync.Mutex
	all []*Call
}

func (c *Calls) add(call *Call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	call.Seq, call.Time, call.Outcome = uint64(len(c.all)+1), time.Now(), "running"
	c.all = append(c.all, call)
}

func (c *Calls) outcome(call *Call, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	call.Outcome = text
	call.Millis = float64(time.Since(call.Time).Microseconds()) / 1000
}

// Since copies the calls after a sequence number.
func (c *Calls) Since(seq uint64) []Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := []Call{}
	for i := min(seq, uint64(len(c.all))); i < uint64(len(c.all)); i++ {
		out = append(out, *c.all[i])
	}
	return out
}

// Last is the newest sequence number.
func (c *Calls) Last() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return uint64(len(c.all))
}

var readPrefixes = []string{
	"Retrieve", "Query", "Find", "Wait", "Continue", "Login", "Logout", "CancelWaitForUpdates", "Get", "Has", "List", "Fetch",
	"Check", "Validate", "Estimate", "Read", "Search", "Refresh", "Recommend", "Browse",
}

var reads = map[string]bool{
	"CreateFilter": true, "CreatePropertyCollector": true, "CreateContainerView": true, "CreateListView": true,
	"CreateListViewFromView": true, "CreateInventoryView": true, "CreateCollectorForEvents": true, "CreateCollectorForTasks": true,
	"DestroyPropertyFilter": true, "DestroyPropertyCollector": true, "DestroyView": true, "DestroyCollector": true,
	"ModifyListView": true, "ResetListView": true, "ResetListViewFromView": true, "OpenInventoryViewFolder": true,
	"CloseInventoryViewFolder": true, "RewindCollector": true, "ResetCollector": true, "SetCollectorPageSize": true,
	"SessionIsActive": true, "CurrentTime": true, "AcquireCloneTicket": true, "CloneSession": true, "PlaceVm": true,
	"AcquireGenericServiceTicket": true, "IsSharedGraphicsActive": true, "PbmRetrieveServiceContent": true, "SetLocale": true,
	"LoginByToken": true, "KeepAlive": true, "DirectPathProfileManagerQueryCapacity": true, "DirectPathProfileManagerList": true,
}

// isWrite tells whether a method changes the inventory; what is not known to read is a write.
func isWrite(method string) bool {
	if reads[method] {
		return false
	}
	for _, p := range readPrefixes {
		if strings.HasPrefix(method, p) {
			return false
		}
	}
	return true
}
