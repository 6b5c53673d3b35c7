package lab

import (
	"fmt"
	"sort"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"

	"triton-fleet/lab/vcenter/internal/site"
)

// GPUView is the judge's books, positions included: what no vCenter shows.
type GPUView struct {
	Host  string     `json:"host"`
	PCI   string     `json:"pci_id"`
	Model string     `json:"model"`
	Mode  string     `json:"mode"`
	Held  []HeldView `json:"held"`
}

// HeldView is one vGPU; start is -1 where there are no slices.
type HeldView struct {
	VM      string `json:"vm"`
	Profile string `json:"profile"`
	Start   int    `json:"start"`
}

// GPUs lists all books by host and address.
func (l *Lab) GPUs() []GPUView {
	views := []GPUView{}
	l.gpuMu.Lock()
	for _, h := range l.gpuHosts {
		for _, g := range h.host.GPUs {
			v := GPUView{Host: h.name, PCI: g.PCI, Model: g.Model, Mode: string(g.Mode), Held: []HeldView{}}
			for _, o := range g.Held() {
				ref := types.ManagedObjectReference{Type: "VirtualMachine", Value: o.VM}
				v.Held = append(v.Held, HeldView{VM: l.Name(ref), Profile: o.Profile(), Start: o.Start()})
			}
			views = append(views, v)
		}
	}
	l.gpuMu.Unlock()
	sort.Slice(views, func(i, j int) bool {
		return views[i].Host < views[j].Host || (views[i].Host == views[j].Host && views[i].PCI < views[j].PCI)
	})
	return views
}

// SetGuest changes what a VM's guest tells from now on.
func (l *Lab) SetGuest(name string, options GuestOptions) error {
	ref, err := l.find("VirtualMachine", name)
	if err != nil {
		return err
	}
	vm, m := l.vm(ref), l.machineOf(ref)
	m.op.Lock()
	defer m.op.Unlock()
	m.guest = options
	if m.image == "" || vm.Runtime.PowerState != poweredOn {
		return nil
	}
	if err := l.writeGuestGPUs(m); err != nil {
		return err
	}
	l.reportGuest(l.newContext(), vm, m, true)
	return nil
}

// EndGuest makes a guest shut itself down, as an operator inside it could.
func (l *Lab) EndGuest(name string) error {
	ref, err := l.find("VirtualMachine", name)
	if err != nil {
		return err
	}
	if failed := l.whenOn(l.newContext(), ref, poweredOff, func(vm *simulator.VirtualMachine, m *machine) *failure {
		l.powerOff(l.newContext(), vm, m, true)
		return nil
	}); failed != nil {
		return fmt.Errorf("%s: %s", name, failed.text)
	}
	return nil
}

// Intrude adds somebody else's VM while the lab runs, by the rules of the model file; powered on it takes its GPU places.
func (l *Lab) Intrude(v site.VM) error {
	parsed, err := l.cfg.Site.CheckVM(v)
	if err != nil {
		return err
	}
	ctx := l.newContext()
	b := &builder{lab: l, ctx: ctx, spec: l.cfg.Site.Datacenters[0], hosts: map[string]types.ManagedObjectReference{},
		clusters: map[string]*simulator.ClusterComputeResource{}, folders: map[string]types.ManagedObjectReference{}}
	ref, err := l.find("Datacenter", b.spec.Name)
	if err != nil {
		return err
	}
	b.dc = l.reg.Get(ref).(*simulator.Datacenter)
	l.knownFolders(b, b.dc.VmFolder, "")
	for _, e := range l.reg.All("ClusterComputeResource") {
		b.clusters[e.Entity().Name] = e.(*simulator.ClusterComputeResource)
	}
	for _, e := range l.reg.All("HostSystem") {
		b.hosts[e.Entity().Name] = e.Reference()
	}
	return l.addVM(b, parsed)
}

// ExpireSessions ends every session, as a restarted vCenter does.
func (l *Lab) ExpireSessions() int {
	l.mu.Lock()
	keys := make([]string, 0, len(l.users))
	for key := range l.users {
		keys = append(keys, key)
	}
	l.users = map[string]string{}
	l.mu.Unlock()
	ctx, n := l.newContext(), 0
	for _, key := range keys {
		body := l.reg.SessionManager().TerminateSession(ctx, &types.TerminateSession{SessionId: []string{key}})
		if body.Fault() == nil {
			n++
		}
	}
	return n
}

// SetHost changes a host's state: "" keeps it.
func (l *Lab) SetHost(name, state string, maintenance *bool) error {
	ref, err := l.find("HostSystem", name)
	if err != nil {
		return err
	}
	var changes []types.PropertyChange
	if state != "" {
		changes = append(changes, types.PropertyChange{Name: "runtime.connectionState", Val: types.HostSystemConnectionState(state)})
	}
	if maintenance != nil {
		changes = append(changes, types.PropertyChange{Name: "runtime.inMaintenanceMode", Val: *maintenance})
	}
	l.reg.AtomicUpdate(l.newContext(), l.reg.Get(ref), changes)
	return nil
}

// knownFolders tells a builder which VM folders there are by now.
func (l *Lab) knownFolders(b *builder, ref types.ManagedObjectReference, path string) {
	b.folders[path] = ref
	folder, ok := l.reg.Get(ref).(*simulator.Folder)
	if !ok {
		return
	}
	for _, child := range folder.ChildEntity {
		if child.Type == "Folder" {
			l.knownFolders(b, child, strings.TrimPrefix(path+"/"+l.Name(child), "/"))
		}
	}
}
