package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"triton-fleet/lab/vcenter/internal/site"
)

// builder makes one datacenter of the model file.
type builder struct {
	lab      *Lab
	ctx      *simulator.Context
	dc       *simulator.Datacenter
	spec     site.Datacenter
	hosts    map[string]types.ManagedObjectReference
	clusters map[string]*simulator.ClusterComputeResource
	folders  map[string]types.ManagedObjectReference
}

// build makes the inventory of the model file.
func (l *Lab) build() error {
	for i, spec := range l.cfg.Site.Datacenters {
		b := &builder{
			lab: l, ctx: l.newContext(), spec: spec,
			hosts:    map[string]types.ManagedObjectReference{},
			clusters: map[string]*simulator.ClusterComputeResource{},
			folders:  map[string]types.ManagedObjectReference{},
		}
		steps := []func() error{b.datacenter, b.computers, b.datastores, b.networks, b.templates, b.vms}
		if g := l.cfg.Site.Generate; g != nil && i == 0 {
			steps = append(steps, func() error { return b.generate(*g) })
		}
		for _, step := range append(steps, b.states) {
			if err := step(); err != nil {
				return fmt.Errorf("datacenter %s: %w", spec.Name, err)
			}
		}
	}
	return nil
}

// faultOf turns a method's answer into an error.
func faultOf(what string, r soap.HasFault) error {
	if f := r.Fault(); f != nil {
		return fmt.Errorf("%s: %s", what, wrapped(f.VimFault().(types.BaseMethodFault)).text)
	}
	return nil
}

// wait waits for a task of the library.
func (b *builder) wait(what string, task types.ManagedObjectReference) (types.AnyType, error) {
	result, failed := b.lab.inner(b.ctx, task)
	if failed != nil {
		return nil, fmt.Errorf("%s: %s", what, failed.text)
	}
	return result, nil
}

func (b *builder) datacenter() error {
	root := b.lab.reg.Get(b.lab.model.ServiceContent.RootFolder).(*simulator.Folder)
	body := root.CreateDatacenter(b.ctx, &types.CreateDatacenter{This: root.Self, Name: b.spec.Name})
	if err := faultOf("datacenter", body); err != nil {
		return err
	}
	b.dc = b.lab.reg.Get(body.(*methods.CreateDatacenterBody).Res.Returnval).(*simulator.Datacenter)
	b.folders[""] = b.dc.VmFolder
	for _, path := range b.spec.Folders {
		if _, err := b.folder(path); err != nil {
			return err
		}
	}
	return nil
}

// folder returns the VM folder of a path, made with its parents if it is new.
func (b *builder) folder(path string) (types.ManagedObjectReference, error) {
	path = strings.Trim(path, "/")
	if ref, ok := b.folders[path]; ok {
		return ref, nil
	}
	above, name := "", path
	if i := strings.LastIndex(path, "/"); i >= 0 {
		above, name = path[:i], path[i+1:]
	}
	parent, err := b.folder(above)
	if err != nil {
		return parent, err
	}
	body := b.lab.reg.Get(parent).(*simulator.Folder).CreateFolder(b.ctx, &types.CreateFolder{This: parent, Name: name})
	if err := faultOf("folder "+path, body); err != nil {
		return parent, err
	}
	b.folders[path] = body.(*methods.CreateFolderBody).Res.Returnval
	return b.folders[path], nil
}

func (b *builder) computers() error {
	hostFolder := b.lab.reg.Get(b.dc.HostFolder).(*simulator.Folder)
	for _, spec := range b.spec.Clusters {
		body := hostFolder.CreateClusterEx(b.ctx, &types.CreateClusterEx{This: hostFolder.Self, Name: spec.Name})
		if err := faultOf("cluster "+spec.Name, body); err != nil {
			return err
		}
		c := b.lab.reg.Get(body.(*methods.CreateClusterExBody).Res.Returnval).(*simulator.ClusterComputeResource)
		b.clusters[spec.Name] = c
		config := c.ConfigurationEx.(*types.ClusterConfigInfoEx)
		config.DrsConfig = types.ClusterDrsConfigInfo{
			Enabled: types.NewBool(spec.DRS == nil || *spec.DRS), DefaultVmBehavior: types.DrsBehaviorFullyAutomated, VmotionRate: 3,
		}
		config.DasConfig.Enabled = types.NewBool(false)
		for _, h := range spec.Hosts {
			task := c.AddHostTask(b.ctx, &types.AddHost_Task{This: c.Self, Spec: types.HostConnectSpec{HostName: h.Name}, AsConnected: true})
			ref, err := b.wait("host "+h.Name, task.(*methods.AddHost_TaskBody).Res.Returnval)
			if err != nil {
				return err
			}
			if _, ok := b.hosts[h.Name]; ok {
				return fmt.Errorf("host %s: the name is used twice", h.Name)
			}
			b.hosts[h.Name] = ref.(types.ManagedObjectReference)
			b.lab.equip(b.lab.reg.Get(b.hosts[h.Name]).(*simulator.HostSystem), h)
		}
		b.lab.sumUp(c)
	}
	return nil
}

func (b *builder) datastores() error {
	for _, spec := range b.spec.Datastores {
		dir := filepath.Join(b.lab.cfg.StateDir, "datastores", b.spec.Name, spec.Name)
		if err := os.RemoveAll(dir); err != nil { // files of an earlier lab would take the names of new VMs
			return err
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		var ds *simulator.Datastore
		for _, h := range b.eachHost() {
			if len(h.spec.Datastores) > 0 && !contains(h.spec.Datastores, spec.Name) {
				continue
			}
			dss := b.lab.reg.Get(*h.host.ConfigManager.DatastoreSystem).(*simulator.HostDatastoreSystem)
			body := dss.CreateLocalDatastore(b.ctx, &types.CreateLocalDatastore{This: dss.Self, Name: spec.Name, Path: dir})
			if err := faultOf("datastore "+spec.Name, body); err != nil {
				return err
			}
			ds, _ = b.lab.reg.FindByName(spec.Name, b.dc.Datastore).(*simulator.Datastore)
		}
		if ds == nil {
			return fmt.Errorf("datastore %s: no host mounts it", spec.Name)
		}
		ds.Summary.Capacity, ds.Summary.FreeSpace = spec.CapacityGB<<30, spec.CapacityGB<<30
		ds.Summary.MultipleHostAccess = types.NewBool(true)
		ds.Info.GetDatastoreInfo().FreeSpace = ds.Summary.FreeSpace
	}
	return nil
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// hostEntry pairs a host with its description.
type hostEntry struct {
	host *simulator.HostSystem
	spec site.Host
}

func (b *builder) eachHost() []hostEntry {
	var out []hostEntry
	for _, c := range b.spec.Clusters {
		for _, h := range c.Hosts {
			out = append(out, hostEntry{b.lab.reg.Get(b.hosts[h.Name]).(*simulator.HostSystem), h})
		}
	}
	return out
}

// states comes last: a host in maintenance or out of reach would not have taken the VMs that are on it, and the library
// refuses to add a host next to one whose version it does not know.
func (b *builder) states() error {
	version := b.lab.cfg.Site.VCenter.Version
	for _, e := range b.eachHost() {
		e.host.Config.Product.Version = version
		e.host.Config.Product.FullName = "VMware ESXi " + version + " (triton-fleet lab)"
		e.host.Summary.Config.Product = &e.host.Config.Product
		e.host.Runtime.InMaintenanceMode = e.spec.Maintenance
		e.host.Runtime.ConnectionState = types.HostSystemConnectionState(e.spec.State)
	}
	return nil
}
