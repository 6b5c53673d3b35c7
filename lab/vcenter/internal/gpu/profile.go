// Package gpu is the lab's own judge of vGPU capacity: what a physical GPU can hold, and where a
// manager puts an instance. It is written apart from python/fleet/gpu, which it is there to contradict.
package gpu

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Profile is a vGPU type as a host prints it, taken apart.
type Profile struct {
	Name      string // as written by the host
	Token     string // the card's token, lower case: "a100", "h100xm"
	Compute   int    // compute slices of a MIG-backed type, 0 for a time-sliced one
	GB        int    // frame buffer in GB, as the name says
	MediaExt  bool   // the one instance per GPU with the media engines
	MIGBacked bool
}

var profileName = regexp.MustCompile(`^(?:grid|nvidia)_([a-z0-9]+(?:-ada)?)-(?:(\d+)-)?(\d+)([abcq])(me|nome|meall|gfx)?$`)

// Parse takes a profile name apart; both prefixes and any case are accepted.
func Parse(name string) (Profile, error) {
	m := profileName.FindStringSubmatch(strings.ToLower(name))
	if m == nil {
		return Profile{}, fmt.Errorf("%q is not a vGPU profile name such as grid_a100-10c or grid_a100-2-10c", name)
	}
	p := Profile{Name: name, Token: m[1], MIGBacked: m[2] != "", MediaExt: m[5] == "me" || m[5] == "meall"}
	p.Compute, _ = strconv.Atoi(m[2])
	p.GB, _ = strconv.Atoi(m[3])
	return p, nil
}

// MemoryMB is the frame buffer that a guest's driver reports, in MiB.
func (p Profile) MemoryMB() int { return p.GB * 1024 }

var groupName = regexp.MustCompile(`^[^:@%]+:(\d+)@([^@%]+)(?:%.+)?$`)

// ParseGroup takes a vendor device group's name apart: Nvidia:2@grid_a100d-80c%NVLink is two vGPUs.
func ParseGroup(name string) (count int, profile string, err error) {
	m := groupName.FindStringSubmatch(name)
	if m == nil {
		return 0, "", fmt.Errorf("%q is not a device group's name such as Nvidia:2@grid_a100d-80c%%NVLink", name)
	}
	count, _ = strconv.Atoi(m[1])
	return count, m[2], nil
}
