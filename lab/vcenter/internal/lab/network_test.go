package lab

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"testing"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

func told(metadata, encoding string) *simulator.VirtualMachine {
	card := &types.VirtualVmxnet3{}
	card.MacAddress = "00:50:56:AA:00:01"
	return &simulator.VirtualMachine{VirtualMachine: mo.VirtualMachine{Config: &types.VirtualMachineConfigInfo{
		Hardware: types.VirtualHardware{Device: []types.BaseVirtualDevice{card}},
		ExtraConfig: []types.BaseOptionValue{
			&types.OptionValue{Key: "guestinfo.metadata", Value: metadata},
			&types.OptionValue{Key: "guestinfo.metadata.encoding", Value: encoding},
		},
	}}}
}

func b64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func gz(text string) string {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write([]byte(text))
	w.Close()
	return base64.StdEncoding.EncodeToString(out.Bytes())
}

// A guest takes the addresses that cloud-init's VMware data source would find, in each of the ways in which they may be written.
func TestWantedAddresses(t *testing.T) {
	const plain = `{"version": 2, "ethernets": {"id0": {"match": {"macaddress": "00:50:56:aa:00:01"}, "addresses": ["198.18.7.200/24", "2001:db8::5/64"]}}}`
	const both = "[198.18.7.200 2001:db8::5]"
	for name, c := range map[string]struct{ metadata, encoding, want string }{
		"a mapping":        {fmt.Sprintf(`{"network": %s}`, plain), "", both},
		"yaml in base64":   {b64("network:\n  version: 2\n  ethernets:\n    any:\n      addresses: [198.18.7.9/24]\n"), "base64", "[198.18.7.9]"},
		"base64 in base64": {b64(fmt.Sprintf(`{"network": %q, "network.encoding": "base64"}`, b64(plain))), "base64", both},
		"gzip in gzip":     {gz(fmt.Sprintf(`{"network": %q, "network.encoding": "gzip+base64"}`, gz(plain))), "gzip+base64", both},
		"another card's":   {`{"network": {"ethernets": {"id0": {"match": {"macaddress": "00:50:56:aa:00:02"}, "addresses": ["198.18.7.9/24"]}}}}`, "", "[]"},
		"no network":       {`{"instance-id": "x"}`, "", "[]"},
		"nothing at all":   {"", "", "[]"},
	} {
		found, err := wantedAddresses(told(c.metadata, c.encoding), &machine{})
		if err != nil || fmt.Sprint(found) != c.want {
			t.Errorf("%s: %v, %v; want %s", name, found, err, c.want)
		}
	}
	for name, c := range map[string]struct{ metadata, encoding string }{
		"an encoding of its own": {"x", "rot13"}, "half of base64": {"e", "base64"}, "no address": {`{"network": {"ethernets": {"a": {"addresses": ["ten"]}}}}`, ""},
	} {
		if _, err := wantedAddresses(told(c.metadata, c.encoding), &machine{}); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestRequestedAddresses(t *testing.T) {
	a, err := newAddresses("198.18.7.0/24")
	if err != nil {
		t.Fatal(err)
	}
	given := a.take()
	if err := a.request(a.at(200), given, true); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]error{
		"one in use":    a.request(a.at(200), a.at(50), true),
		"the gateway":   a.request(a.at(1), a.at(50), true),
		"one elsewhere": a.request(a.at(300), a.at(50), true),
	} {
		if c == nil {
			t.Errorf("%s was given", name)
		}
	}
	a.next = reservedAddresses
	if again := a.take(); again != given {
		t.Errorf("%s was not given back, %s came next", given, again)
	}
}
