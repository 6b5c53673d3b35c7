package lab

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/netip"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
	"gopkg.in/yaml.v3"
)

// networkConfig is what the lab understands of cloud-init's network configuration, version 2.
type networkConfig struct {
	Version   int
	Ethernets map[string]struct {
		Match     struct{ Macaddress string }
		Addresses []string
	}
}

// wantedAddresses are the fixed addresses that a guest was told to take on its first card: by its clone's customization, or by
// the network in guestinfo.metadata as cloud-init's VMware data source reads it. None: it asks DHCP.
func wantedAddresses(vm *simulator.VirtualMachine, m *machine) ([]netip.Addr, error) {
	if m.customization != nil {
		return customized(m.customization)
	}
	options := map[string]string{}
	for _, o := range vm.Config.ExtraConfig {
		if text, ok := o.GetOptionValue().Value.(string); ok {
			options[o.GetOptionValue().Key] = text
		}
	}
	text, err := decode(options["guestinfo.metadata"], options["guestinfo.metadata.encoding"])
	if err != nil {
		return nil, fmt.Errorf("guestinfo.metadata: %w", err)
	}
	var metadata struct {
		Network  yaml.Node
		Encoding string `yaml:"network.encoding"`
	}
	if err := yaml.Unmarshal(text, &metadata); err != nil {
		return nil, fmt.Errorf("guestinfo.metadata: %w", err)
	}
	var network networkConfig
	if metadata.Network.Kind == yaml.ScalarNode {
		inner, err := decode(metadata.Network.Value, metadata.Encoding)
		if err == nil {
			err = yaml.Unmarshal(inner, &network)
		}
		if err != nil {
			return nil, fmt.Errorf("network in guestinfo.metadata: %w", err)
		}
	} else if !metadata.Network.IsZero() {
		if err := metadata.Network.Decode(&network); err != nil {
			return nil, fmt.Errorf("network in guestinfo.metadata: %w", err)
		}
	}
	return network.of(vm)
}

// of picks the addresses of the VM's first card; an entry for another MAC address configures nothing.
func (n networkConfig) of(vm *simulator.VirtualMachine) ([]netip.Addr, error) {
	var found []netip.Addr
	for _, entry := range n.Ethernets {
		all := cards(vm)
		if len(all) == 0 || (entry.Match.Macaddress != "" && !strings.EqualFold(entry.Match.Macaddress, all[0].MacAddress)) {
			continue
		}
		for _, text := range entry.Addresses {
			p, err := netip.ParsePrefix(text)
			if err != nil {
				return nil, fmt.Errorf("network in guestinfo.metadata: %w", err)
			}
			found = append(found, p.Addr())
		}
	}
	return found, nil
}

// checkCustomization refuses what a vCenter refuses before it clones: one mapping is needed for each network card.
func checkCustomization(spec *types.CustomizationSpec, devices []types.BaseVirtualDeviceConfigSpec) *failure {
	if spec == nil {
		return nil
	}
	n := 0
	for _, change := range devices {
		if _, ok := change.GetVirtualDeviceConfigSpec().Device.(types.BaseVirtualEthernetCard); ok {
			n++
		}
	}
	if n != len(spec.NicSettingMap) {
		return wrapped(&types.NicSettingMismatch{NumberOfNicsInSpec: int32(len(spec.NicSettingMap)), NumberOfNicsInVM: int32(n)})
	}
	return nil
}

func customized(spec *types.CustomizationSpec) ([]netip.Addr, error) {
	var texts []string
	if len(spec.NicSettingMap) > 0 {
		adapter := spec.NicSettingMap[0].Adapter
		if fixed, ok := adapter.Ip.(*types.CustomizationFixedIp); ok {
			texts = append(texts, fixed.IpAddress)
		}
		if adapter.IpV6Spec != nil {
			for _, ip := range adapter.IpV6Spec.Ip {
				if fixed, ok := ip.(*types.CustomizationFixedIpV6); ok {
					texts = append(texts, fixed.IpAddress)
				}
			}
		}
	}
	var found []netip.Addr
	for _, text := range texts {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return nil, fmt.Errorf("customization: %w", err)
		}
		found = append(found, addr)
	}
	return found, nil
}

// decode undoes an encoding of guestinfo.
func decode(text, encoding string) ([]byte, error) {
	switch encoding {
	case "":
		return []byte(text), nil
	case "base64", "b64", "gzip+base64", "gz+b64":
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil || !strings.HasPrefix(encoding, "gz") {
			return data, err
		}
		unpacked, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(unpacked)
	}
	return nil, fmt.Errorf("encoding %q is not known", encoding)
}

// settleAddress decides what addresses a guest has from its first start on. A guest in a container has a fixed IPv4 address in the lab's
// subnet or none of its wishes; a guest that is only pretended takes whatever it was told.
func (l *Lab) settleAddress(vm *simulator.VirtualMachine, m *machine) error {
	wanted, err := wantedAddresses(vm, m)
	if err != nil {
		log.Printf("%s: %s; it asks DHCP", vm.Name, err) // as a guest whose cloud-init cannot read what it was given
		return nil
	}
	for _, addr := range wanted {
		switch {
		case addr.Is4():
			if err := l.addrs.request(addr, m.address, l.cfg.Runtime != nil); err != nil {
				return err
			}
			m.address = addr
		case l.cfg.Runtime == nil:
			m.address6 = addr
		default:
			log.Printf("%s: the lab's network has no IPv6, so the guest does not get %s", vm.Name, addr)
		}
	}
	return nil
}
