package lab

import (
	"encoding/binary"
	"fmt"
	"log"
	"net/netip"
	"os"
	"path/filepath"
	"sync"

	"github.com/vmware/govmomi/vim25/types"
)

// machine is what the lab knows about a VM beside its vSphere properties.
type machine struct {
	ref           types.ManagedObjectReference
	op            sync.Mutex // one power operation at a time
	image         string     // key of --image, "" for a VM without a guest
	address       netip.Addr
	address6      netip.Addr // of a guest without a container that was told one
	pinned        bool       // it was put on its host by name, so it is not moved at power-on
	created       bool       // its guest exists
	running       bool       // its guest is meant to run
	started       bool       // its guest has been started before, so cloud-init has done its work
	guestName     string
	customization *types.CustomizationSpec
	guest         GuestOptions
}

// GuestOptions are lies that a test makes a guest tell.
type GuestOptions struct {
	Unlicensed  bool   `json:"unlicensed"`
	MissingGPUs int    `json:"missing_gpus"`
	Address     string `json:"address"` // "" the real one, "none", "link-local"
}

// machineOf returns the entry of a VM, made when first asked for.
func (l *Lab) machineOf(ref types.ManagedObjectReference) *machine {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.machines[ref]
	if m == nil {
		m = &machine{ref: ref}
		l.machines[ref] = m
	}
	return m
}

// shared is the directory that a guest sees.
func (l *Lab) shared(ref types.ManagedObjectReference) string {
	return filepath.Join(l.cfg.StateDir, "vms", ref.Value)
}

// discard removes all traces of a VM that has left the inventory; the guest takes its time and is not waited for.
func (m *machine) discard(l *Lab) {
	l.addrs.give(m.address)
	m.address = netip.Addr{}
	if m.created && l.cfg.Runtime != nil {
		go func() {
			m.op.Lock()
			defer m.op.Unlock()
			m.remove(l)
		}()
		return
	}
	os.RemoveAll(l.shared(m.ref))
}

// remove deletes the guest; m.op is held.
func (m *machine) remove(l *Lab) {
	m.running = false
	if m.created && l.cfg.Runtime != nil {
		if err := l.cfg.Runtime.Remove(m.guestName); err != nil {
			log.Printf("%s: removing its guest: %s", m.guestName, err)
		}
		m.created = false
	}
	os.RemoveAll(l.shared(m.ref))
}

// addresses hands out the subnet's addresses; the first is the gateway, the next few are left to the lab's own servers.
type addresses struct {
	mu     sync.Mutex
	prefix netip.Prefix
	used   map[netip.Addr]bool
	next   uint32
}

const reservedAddresses = 10

func newAddresses(subnet string) (*addresses, error) {
	p, err := netip.ParsePrefix(subnet)
	if err != nil || !p.Addr().Is4() || p.Bits() > 28 {
		return nil, fmt.Errorf("--subnet %s: an IPv4 network of 16 addresses or more is needed, such as 198.18.7.0/24", subnet)
	}
	return &addresses{prefix: p.Masked(), used: map[netip.Addr]bool{}, next: reservedAddresses}, nil
}

func (a *addresses) at(n uint32) netip.Addr {
	base := a.prefix.Addr().As4()
	var out [4]byte
	binary.BigEndian.PutUint32(out[:], binary.BigEndian.Uint32(base[:])+n)
	return netip.AddrFrom4(out)
}

func (a *addresses) gateway() netip.Addr { return a.at(1) }

// take returns a free address, preferring one that was not used lately; none when the subnet is full.
func (a *addresses) take() netip.Addr {
	a.mu.Lock()
	defer a.mu.Unlock()
	size := uint32(1) << (32 - a.prefix.Bits())
	for range size {
		n := a.next
		if a.next++; a.next >= size-1 {
			a.next = reservedAddresses
		}
		if addr := a.at(n); !a.used[addr] {
			a.used[addr] = true
			return addr
		}
	}
	log.Printf("the subnet %s has no free address", a.prefix)
	return netip.Addr{}
}

// request takes a certain address instead of another one that was taken before; with inside only one of the subnet's own.
func (a *addresses) request(wanted, instead netip.Addr, inside bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case wanted == instead:
		return nil
	case inside && !a.prefix.Contains(wanted):
		return fmt.Errorf("%s is not in the lab's network %s", wanted, a.prefix)
	case wanted == a.gateway() || a.used[wanted]:
		return fmt.Errorf("%s is in use already", wanted)
	}
	a.used[wanted] = true
	delete(a.used, instead)
	return nil
}

func (a *addresses) give(addr netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.used, addr)
}
