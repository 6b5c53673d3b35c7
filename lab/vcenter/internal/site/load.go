package site

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"triton-fleet/lab/vcenter/internal/gpu"
)

// Load reads and checks a model file; the error is one sentence that names the place.
func Load(path string) (*Site, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("site file: %w", err)
	}
	s, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("site file %s: %w", path, err)
	}
	return s, nil
}

// Parse decodes strictly (an unknown key is an error), fills defaults and checks references between objects.
func Parse(data []byte) (*Site, error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	s := &Site{}
	if err := dec.Decode(s); err != nil {
		return nil, errors.New(strings.Join(strings.Fields(err.Error()), " "))
	}
	if len(s.Datacenters) == 0 {
		return nil, errors.New("datacenters: at least one is needed")
	}
	s.defaults()
	return s, s.check()
}

func orElse[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (s *Site) defaults() {
	orElse(&s.VCenter.Version, "8.0.3")
	if len(s.Users) == 0 {
		s.Users = []User{{Name: "administrator@vsphere.local"}}
	}
	for i := range s.Users {
		orElse(&s.Users[i].Role, "admin")
	}
	for i := range s.Datacenters {
		s.Datacenters[i].defaults()
	}
	if g := s.Generate; g != nil {
		orElse(&g.Prefix, "plain-")
		if dc := s.Datacenters[0]; g.Cluster == "" && len(dc.Clusters) > 0 {
			g.Cluster = dc.Clusters[0].Name
		}
	}
}

func (dc *Datacenter) defaults() {
	if len(dc.Datastores) == 0 {
		dc.Datastores = []Datastore{{Name: "datastore1"}}
	}
	for i := range dc.Datastores {
		orElse(&dc.Datastores[i].CapacityGB, 4096)
	}
	if len(dc.Networks) == 0 {
		dc.Networks = []Network{{Name: "net"}}
	}
	for i := range dc.Networks {
		orElse(&dc.Networks[i].Type, "standard")
	}
	for i := range dc.Clusters {
		c := &dc.Clusters[i]
		var hosts []Host
		for _, h := range c.Hosts {
			orElse(&h.CPU, 64)
			orElse(&h.MemoryGB, 512)
			orElse(&h.State, "connected")
			orElse(&h.GPUPolicy, string(gpu.Ampere))
			orElse(&h.GPUAssignment, "performance")
			h.GPUs = spreadGPUs(h.GPUs)
			for n := range max(h.Count, 1) {
				one := h
				one.Name, one.Count = numbered(h.Name, h.Count, n), 0
				hosts = append(hosts, one)
			}
		}
		c.Hosts = hosts
	}
	for i := range dc.Templates {
		t := &dc.Templates[i]
		orElse(&t.Cluster, dc.firstCluster())
		orElse(&t.Datastore, dc.Datastores[0].Name)
		orElse(&t.Network, dc.Networks[0].Name)
		orElse(&t.CPU, 2)
		orElse(&t.MemoryGB, 4)
		orElse(&t.DiskGB, 40)
		orElse(&t.Firmware, "efi")
		orElse(&t.Hardware, "vmx-20")
		orElse(&t.GuestID, "ubuntu64Guest")
	}
	var vms []VM
	for _, v := range dc.VMs {
		orElse(&v.Cluster, dc.firstCluster())
		orElse(&v.Datastore, dc.Datastores[0].Name)
		orElse(&v.Network, dc.Networks[0].Name)
		orElse(&v.CPU, 2)
		orElse(&v.MemoryGB, 4)
		orElse(&v.DiskGB, 20)
		orElse(&v.Power, "off")
		orElse(&v.Connection, "connected")
		for n := range max(v.Count, 1) {
			one := v
			one.Name, one.Count = numbered(v.Name, v.Count, n), 0
			vms = append(vms, one)
		}
	}
	dc.VMs = vms
}

func (dc *Datacenter) firstCluster() string {
	if len(dc.Clusters) == 0 {
		return ""
	}
	return dc.Clusters[0].Name
}

// numbered gives the n-th name of a counted entry, counting from 1.
func numbered(name string, count, n int) string {
	if count == 0 {
		return name
	}
	if !strings.Contains(name, "%") {
		name += "%d"
	}
	return fmt.Sprintf(name, n+1)
}

var pciAddress = regexp.MustCompile(`^([0-9a-f]{4}:)([0-9a-f]{2})(:[0-9a-f]{2}\.[0-7])$`)

// spreadGPUs turns counted entries into single ones, each on a bus of its own.
func spreadGPUs(gpus []GPU) []GPU {
	var out []GPU
	for _, g := range gpus {
		orElse(&g.Mode, string(gpu.None))
		m := pciAddress.FindStringSubmatch(g.PCI)
		for n := range max(g.Count, 1) {
			one := g
			one.Count = 0
			if m != nil {
				bus, _ := strconv.ParseUint(m[2], 16, 8)
				one.PCI = fmt.Sprintf("%s%02x%s", m[1], int(bus)+n, m[3])
			}
			out = append(out, one)
		}
	}
	return out
}
