// Package lab makes govmomi's simulator behave as a vCenter does where a GPU fleet would notice the difference:
// clones, compare-and-swap, GPUs, guests with addresses. See the README for what is changed and why.
package lab

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"triton-fleet/lab/vcenter/internal/site"
)

// Runtime starts what stands behind a powered-on VM. The lab without containers has none.
type Runtime interface {
	// Start creates the guest at its first power-on and starts it.
	Start(g GuestSpec) error
	// Kill is the power switch; the disk stays.
	Kill(name string) error
	// Stop asks the guest's init to shut down.
	Stop(name string) error
	// Remove deletes the guest with its disk.
	Remove(name string) error
	// Running tells whether the guest runs.
	Running(name string) (bool, error)
}

// GuestSpec is all that a runtime needs to know about a VM.
type GuestSpec struct {
	Name    string            // of the VM
	Image   string            // key of --image
	Address string            // its fixed address
	MAC     string            // of its first network card
	Shared  string            // host directory that the guest sees read-only
	Env     map[string]string // guestinfo, as cloud-init's VMware data source reads it
	First   bool              // whether it has to be created
}

// Config is what the command line says.
type Config struct {
	Site     *site.Site
	Password string
	StateDir string
	Subnet   string
	Images   map[string]bool // keys that have an image; with a Runtime a template's key must be one of them
	Runtime  Runtime
}

// Lab is one running vCenter.
type Lab struct {
	cfg     Config
	model   *simulator.Model
	reg     *simulator.Registry
	methods types.ManagedObjectReference // where redirected methods go
	tasks   taskRules

	mu       sync.Mutex
	names    map[types.ManagedObjectReference]string
	users    map[string]string // session key to user
	machines map[types.ManagedObjectReference]*machine
	pending  map[types.ManagedObjectReference]*creation // by folder
	folders  map[types.ManagedObjectReference]*sync.Mutex
	addrs    *addresses
	macs     int
	version  int64

	gpuMu        sync.Mutex
	gpuHosts     map[types.ManagedObjectReference]*gpuHost
	cards        map[types.ManagedObjectReference][]*card // by host
	deviceGroups map[types.ManagedObjectReference][]string
}

// taskRules lets tests slow down the work behind a task; the caller's own call is slowed elsewhere.
type taskRules interface {
	TaskDelay(method, object string)
}

// New builds the inventory; nothing listens yet.
func New(cfg Config, rules taskRules) (*Lab, error) {
	l := &Lab{
		cfg:          cfg,
		tasks:        rules,
		names:        map[types.ManagedObjectReference]string{},
		users:        map[string]string{},
		machines:     map[types.ManagedObjectReference]*machine{},
		pending:      map[types.ManagedObjectReference]*creation{},
		folders:      map[types.ManagedObjectReference]*sync.Mutex{},
		gpuHosts:     map[types.ManagedObjectReference]*gpuHost{},
		cards:        map[types.ManagedObjectReference][]*card{},
		deviceGroups: map[types.ManagedObjectReference][]string{},
	}
	var err error
	if l.addrs, err = newAddresses(cfg.Subnet); err != nil {
		return nil, err
	}
	tmp := filepath.Join(cfg.StateDir, "tmp")
	if err := os.MkdirAll(tmp, 0o700); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	l.model = simulator.VPX()
	l.model.Datacenter, l.model.Host, l.model.Cluster, l.model.Machine, l.model.Datastore, l.model.Portgroup = 0, 0, 0, 0, 0, 0
	about := &l.model.ServiceContent.About
	about.Version, about.ApiVersion = cfg.Site.VCenter.Version, cfg.Site.VCenter.Version+".0"
	about.LicenseProductVersion = cfg.Site.VCenter.Version
	about.FullName = "VMware vCenter Server " + about.Version + " (triton-fleet lab)"
	about.InstanceUuid = cfg.Site.VCenter.InstanceUUID
	if about.InstanceUuid == "" {
		about.InstanceUuid = uuid.NewString()
	}
	before := os.Getenv("TMPDIR")
	if err := os.Setenv("TMPDIR", tmp); err != nil { // where the library keeps its own files
		return nil, err
	}
	if err := l.model.Create(); err != nil {
		return nil, err
	}
	if err := os.Setenv("TMPDIR", before); err != nil {
		return nil, err
	}
	l.reg = l.model.Service.Context.Map
	l.reg.AddHandler(&watcher{lab: l})
	l.methods = l.reg.Put(&methodsObject{lab: l, Self: types.ManagedObjectReference{Type: "LabMethods", Value: "lab"}}).Reference()
	l.addDirectPath()
	if err := l.build(); err != nil {
		return nil, err
	}
	l.reg.Handler = l.hook
	return l, nil
}

// Service is the simulator's service, ready to listen.
func (l *Lab) Service() *simulator.Service {
	l.model.Service.Listen = &url.URL{User: url.UserPassword("lab", "lab")} // any but the default, so that ValidLogin is asked
	l.reg.SessionManager().ValidLogin = l.validLogin
	return l.model.Service
}

// InstanceUUID is the vCenter's own identity.
func (l *Lab) InstanceUUID() string { return l.model.ServiceContent.About.InstanceUuid }

// Close removes the files of the VMs; their guests are the runtime's.
func (l *Lab) Close() {
	l.model.Remove()
	for _, name := range []string{"vms", "datastores", "tmp"} {
		os.RemoveAll(filepath.Join(l.cfg.StateDir, name))
	}
}

// newContext is a context of its own: the library's object locks belong to contexts.
func (l *Lab) newContext() *simulator.Context {
	c := *l.model.Service.Context
	return &c
}

// childContext is a context with the caller's session, for work that outlives the call.
func childContext(ctx *simulator.Context) *simulator.Context {
	c := *ctx
	return &c
}

func (l *Lab) validLogin(req *types.Login) bool {
	for _, u := range l.cfg.Site.Users {
		if u.Name != req.UserName {
			continue
		}
		if u.Password != "" {
			return req.Password == u.Password
		}
		return req.Password == l.cfg.Password
	}
	return false
}

// vm looks a VM up.
func (l *Lab) vm(ref types.ManagedObjectReference) *simulator.VirtualMachine {
	vm, _ := l.reg.Get(ref).(*simulator.VirtualMachine)
	return vm
}

// Name is an object's name as the inventory shows it, "" if it has none.
func (l *Lab) Name(ref types.ManagedObjectReference) string {
	l.mu.Lock()
	name, ok := l.names[ref]
	l.mu.Unlock()
	if !ok {
		if e, isEntity := l.reg.Get(ref).(mo.Entity); isEntity {
			name = e.Entity().Name
		}
	}
	return name
}

// User is the user of a session, "" for none.
func (l *Lab) User(session string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.users[session]
}

// Learn notes whose session this is.
func (l *Lab) Learn(session, user string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.users[session] = user
}

// find looks an object up by type and name.
func (l *Lab) find(kind, name string) (types.ManagedObjectReference, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for ref, n := range l.names {
		if ref.Type == kind && n == name {
			return ref, nil
		}
	}
	return types.ManagedObjectReference{}, fmt.Errorf("no %s is named %q", kind, name)
}

// FirstUser is the user that the model file names first, by custom an administrator.
func (l *Lab) FirstUser() string { return l.cfg.Site.Users[0].Name }
