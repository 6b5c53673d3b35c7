package lab

import (
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// cards lists a VM's network cards.
func cards(vm *simulator.VirtualMachine) []*types.VirtualEthernetCard {
	var out []*types.VirtualEthernetCard
	for _, d := range object.VirtualDeviceList(vm.Config.Hardware.Device) {
		if c, ok := d.(types.BaseVirtualEthernetCard); ok {
			out = append(out, c.GetVirtualEthernetCard())
		}
	}
	return out
}

// networkName is what vCenter calls the network of a card.
func (l *Lab) networkName(c *types.VirtualEthernetCard) string {
	switch b := c.Backing.(type) {
	case *types.VirtualEthernetCardNetworkBackingInfo:
		return b.DeviceName
	case *types.VirtualEthernetCardDistributedVirtualPortBackingInfo:
		return l.Name(types.ManagedObjectReference{Type: "DistributedVirtualPortgroup", Value: b.Port.PortgroupKey})
	}
	return ""
}

// reportGuest publishes what VMware Tools in the guest would report; down means that the VM has no power.
func (l *Lab) reportGuest(ctx *simulator.Context, vm *simulator.VirtualMachine, m *machine, up bool) {
	ctx.WithLock(vm, func() {
		if vm.Config == nil || vm.Guest == nil {
			return
		}
		ctx.Update(vm, l.guestChanges(vm, m, up && m.image != ""))
	})
}

func (l *Lab) guestChanges(vm *simulator.VirtualMachine, m *machine, up bool) []types.PropertyChange {
	status, running, state := types.VirtualMachineToolsStatusToolsNotRunning, "guestToolsNotRunning", "notRunning"
	if m.image == "" {
		status = types.VirtualMachineToolsStatusToolsNotInstalled
	}
	address, host, heart := "", "", types.ManagedEntityStatusGray
	nics := []types.GuestNicInfo{}
	if up {
		status, running, state = types.VirtualMachineToolsStatusToolsOk, "guestToolsRunning", "running"
		heart = types.ManagedEntityStatusGreen
		host = vm.Name
		address = m.shownAddress()
		for i, c := range cards(vm) {
			nic := types.GuestNicInfo{
				Network: l.networkName(c), MacAddress: strings.ToLower(c.MacAddress), Connected: true, DeviceConfigId: c.Key,
			}
			if i == 0 && address != "" {
				nic.IpConfig = &types.NetIpConfigInfo{}
				for _, one := range append([]string{address}, m.moreAddresses()...) {
					nic.IpAddress = append(nic.IpAddress, one)
					nic.IpConfig.IpAddress = append(nic.IpConfig.IpAddress, types.NetIpConfigInfoIpAddress{
						IpAddress: one, PrefixLength: l.prefixLength(m, one), State: string(types.NetIpConfigInfoIpAddressStatusPreferred),
					})
				}
			}
			nics = append(nics, nic)
		}
	}
	return []types.PropertyChange{
		{Name: "guest.toolsStatus", Val: status},
		{Name: "guest.toolsRunningStatus", Val: running},
		{Name: "guest.guestState", Val: state},
		{Name: "guest.hostName", Val: host},
		{Name: "guest.ipAddress", Val: address},
		{Name: "guest.net", Val: nics},
		{Name: "summary.guest.toolsStatus", Val: status},
		{Name: "summary.guest.toolsRunningStatus", Val: running},
		{Name: "summary.guest.hostName", Val: host},
		{Name: "summary.guest.ipAddress", Val: address},
		{Name: "guestHeartbeatStatus", Val: heart},
	}
}

// shownAddress is the address that tools report, which a test may have replaced.
func (m *machine) shownAddress() string {
	switch m.guest.Address {
	case "none":
		return ""
	case "link-local":
		return "169.254.17.9"
	case "":
		if m.address.IsValid() {
			return m.address.String()
		}
		return ""
	}
	return m.guest.Address
}

// moreAddresses are those beside the first.
func (m *machine) moreAddresses() []string {
	if m.address6.IsValid() && m.guest.Address == "" {
		return []string{m.address6.String()}
	}
	return nil
}

func (l *Lab) prefixLength(m *machine, address string) int32 {
	if strings.Contains(address, ":") {
		return 64
	}
	if m.guest.Address == "link-local" {
		return 16
	}
	return int32(l.addrs.prefix.Bits())
}

// guestEnv hands guestinfo over as cloud-init's VMware data source finds it in the environment of process 1.
func guestEnv(vm *simulator.VirtualMachine) map[string]string {
	env := map[string]string{}
	for _, o := range vm.Config.ExtraConfig {
		v := o.GetOptionValue()
		text, ok := v.Value.(string)
		if ok && strings.HasPrefix(v.Key, "guestinfo.") {
			env["VMX_"+strings.ToUpper(strings.ReplaceAll(v.Key, ".", "_"))] = text
			env["VMX_GUESTINFO"] = "true"
		}
	}
	return env
}

// startGuest gives a VM that has just been granted its host the guest behind it.
func (l *Lab) startGuest(vm *simulator.VirtualMachine, m *machine) error {
	if m.image == "" {
		return nil
	}
	if err := l.writeGuestGPUs(m); err != nil {
		return err
	}
	if !m.started {
		if err := l.settleAddress(vm, m); err != nil {
			return err
		}
		m.started = true
	}
	if l.cfg.Runtime == nil {
		return nil
	}
	spec := GuestSpec{
		Name: m.guestName, Image: m.image, Shared: l.shared(m.ref), Env: guestEnv(vm), First: !m.created,
	}
	if m.address.IsValid() {
		spec.Address = m.address.String()
	}
	if c := cards(vm); len(c) > 0 {
		spec.MAC = c[0].MacAddress
	}
	if spec.First {
		spec.Name, m.guestName = vm.Name, vm.Name
	}
	if err := l.cfg.Runtime.Start(spec); err != nil {
		return err
	}
	m.created, m.running = true, true
	return nil
}
