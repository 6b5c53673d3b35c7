package site

import (
	"fmt"
	"slices"
	"strings"

	"triton-fleet/lab/vcenter/internal/gpu"
)

func oneOf(where, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("%s: %q is none of %s", where, value, strings.Join(allowed, ", "))
}

func (s *Site) check() error {
	roles := []string{"admin", "read-only"}
	for _, r := range s.Roles {
		roles = append(roles, r.Name)
	}
	for _, u := range s.Users {
		if u.Name == "" {
			return fmt.Errorf("users: a user without a name")
		}
		if err := oneOf("users: "+u.Name+": role", u.Role, roles...); err != nil {
			return err
		}
	}
	for i := range s.Datacenters {
		if err := s.Datacenters[i].check(); err != nil {
			return err
		}
	}
	if g := s.Generate; g != nil {
		dc := s.Datacenters[0]
		if err := oneOf("generate: cluster", g.Cluster, dc.clusterNames()...); err != nil {
			return err
		}
		if g.PoweredOn < 0 || g.PoweredOn > 1 || g.VMs < 0 {
			return fmt.Errorf("generate: vms cannot be negative and powered_on is a share from 0 to 1")
		}
	}
	return nil
}

func (dc *Datacenter) clusterNames() []string {
	var names []string
	for _, c := range dc.Clusters {
		names = append(names, c.Name)
	}
	return names
}

func (dc *Datacenter) check() error {
	if dc.Name == "" {
		return fmt.Errorf("datacenters: one has no name")
	}
	stores, nets := []string{}, []string{}
	for _, d := range dc.Datastores {
		stores = append(stores, d.Name)
	}
	for _, n := range dc.Networks {
		nets = append(nets, n.Name)
		if err := oneOf("networks: "+n.Name+": type", n.Type, "standard", "distributed"); err != nil {
			return err
		}
	}
	for _, c := range dc.Clusters {
		if c.Name == "" || len(c.Hosts) == 0 {
			return fmt.Errorf("clusters: %q needs a name and at least one host", c.Name)
		}
		for _, h := range c.Hosts {
			if err := h.check("cluster "+c.Name+": host "+h.Name, stores); err != nil {
				return err
			}
		}
	}
	for _, t := range dc.Templates {
		where := "template " + t.Name
		if t.Name == "" {
			return fmt.Errorf("templates: one has no name")
		}
		if err := firstError(oneOf(where+": cluster", t.Cluster, dc.clusterNames()...), oneOf(where+": datastore", t.Datastore, stores...),
			oneOf(where+": network", t.Network, append(slices.Clone(nets), "none")...), oneOf(where+": firmware", t.Firmware, "efi", "bios")); err != nil {
			return err
		}
	}
	for _, v := range dc.VMs {
		if err := v.check(dc, stores, nets); err != nil {
			return err
		}
	}
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (h Host) check(where string, stores []string) error {
	if h.Name == "" {
		return fmt.Errorf("%s: no name", where)
	}
	if err := firstError(oneOf(where+": state", h.State, "connected", "disconnected", "notResponding"),
		oneOf(where+": gpu_policy", h.GPUPolicy, string(gpu.Hopper), string(gpu.Ampere), string(gpu.Adversarial)),
		oneOf(where+": gpu_assignment", h.GPUAssignment, "performance", "consolidation")); err != nil {
		return err
	}
	for _, d := range h.Datastores {
		if err := oneOf(where+": datastores", d, stores...); err != nil {
			return err
		}
	}
	for _, name := range h.DeviceGroups {
		if _, _, err := gpu.ParseGroup(name); err != nil {
			return fmt.Errorf("%s: device_groups: %w", where, err)
		}
	}
	seen := map[string]bool{}
	for _, g := range h.GPUs {
		if !pciAddress.MatchString(g.PCI) || seen[g.PCI] {
			return fmt.Errorf("%s: gpus: pci %q is not an address of its own such as 0000:3b:00.0", where, g.PCI)
		}
		seen[g.PCI] = true
		modes := []string{string(gpu.None), string(gpu.SameSize), string(gpu.MixedSize), string(gpu.MIG)}
		if err := oneOf(where+": gpu "+g.PCI+": mode", g.Mode, modes...); err != nil {
			return err
		}
		if g.MemoryGB <= 0 {
			return fmt.Errorf("%s: gpu %s: memory_gb is missing", where, g.PCI)
		}
		for _, name := range g.Profiles {
			p, err := gpu.Parse(name)
			if err != nil {
				return fmt.Errorf("%s: gpu %s: %w", where, g.PCI, err)
			}
			if !gpu.Known(p) {
				return fmt.Errorf("%s: gpu %s: the lab's table has no maximum for %s", where, g.PCI, name)
			}
		}
	}
	return nil
}

func (v VM) check(dc *Datacenter, stores, nets []string) error {
	where := "vm " + v.Name
	if v.Name == "" {
		return fmt.Errorf("vms: one has no name")
	}
	if err := firstError(oneOf(where+": cluster", v.Cluster, dc.clusterNames()...), oneOf(where+": datastore", v.Datastore, stores...),
		oneOf(where+": network", v.Network, append(slices.Clone(nets), "none")...), oneOf(where+": power", v.Power, "on", "off"),
		oneOf(where+": connection", v.Connection, "connected", "disconnected", "inaccessible", "invalid", "orphaned")); err != nil {
		return err
	}
	if v.Host != "" {
		var names []string
		for _, c := range dc.Clusters {
			if c.Name == v.Cluster {
				for _, h := range c.Hosts {
					names = append(names, h.Name)
				}
			}
		}
		if err := oneOf(where+": host", v.Host, names...); err != nil {
			return err
		}
	}
	for _, name := range v.GPUProfiles {
		if _, err := gpu.Parse(name); err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
	}
	return nil
}

// CheckVM fills and checks one more VM for the first datacenter.
func (s *Site) CheckVM(v VM) (VM, error) {
	dc := s.Datacenters[0]
	dc.Templates, dc.Clusters = nil, append([]Cluster(nil), dc.Clusters...)
	v.Count = 0
	dc.VMs = []VM{v}
	dc.defaults()
	return dc.VMs[0], dc.check()
}
