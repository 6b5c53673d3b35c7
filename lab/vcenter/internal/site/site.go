// Package site reads the model file that describes a lab's vCenter: what is in it before anybody does anything.
package site

// Site is a whole model file; lab/site.schema.json describes the same for editors and tests.
type Site struct {
	VCenter     VCenter      `yaml:"vcenter"`
	Users       []User       `yaml:"users"`
	Roles       []Role       `yaml:"roles"`
	Datacenters []Datacenter `yaml:"datacenters"`
	Generate    *Generate    `yaml:"generate"`
}

// VCenter is what the service says about itself.
type VCenter struct {
	Version      string `yaml:"version"`       // "8.0.3"; fields that are newer are dropped by clients
	InstanceUUID string `yaml:"instance_uuid"` // random at each start unless given
}

// MaxVGPUs is how many vGPUs a VM may hold in this version: 16 since 8.0.2, 8 in 8.0, 4 before.
func (v VCenter) MaxVGPUs() int32 {
	switch {
	case v.Version >= "8.0.2":
		return 16
	case v.Version >= "8":
		return 8
	}
	return 4
}

// User may log in; without a password of its own it has the one of --password-file.
type User struct {
	Name     string   `yaml:"name"`
	Password string   `yaml:"password"`
	Role     string   `yaml:"role"`     // admin, read-only, or one of roles
	BlindTo  []string `yaml:"blind_to"` // shell patterns: names of VMs that it may not read
}

// Role is a set of privileges such as VirtualMachine.Interact.PowerOn, held on the whole inventory.
type Role struct {
	Name       string   `yaml:"name"`
	Privileges []string `yaml:"privileges"`
}

// Datacenter holds everything else.
type Datacenter struct {
	Name       string      `yaml:"name"`
	Datastores []Datastore `yaml:"datastores"`
	Networks   []Network   `yaml:"networks"`
	Folders    []string    `yaml:"folders"` // paths below the VM folder, parents are made
	Clusters   []Cluster   `yaml:"clusters"`
	Templates  []Template  `yaml:"templates"`
	VMs        []VM        `yaml:"vms"`
}

// Datastore is mounted on every host that does not list its own.
type Datastore struct {
	Name       string `yaml:"name"`
	CapacityGB int64  `yaml:"capacity_gb"`
}

// Network is a port group, standard or distributed, on every host.
type Network struct {
	Name string `yaml:"name"`
	Type string `yaml:"type"` // standard (default) or distributed
}

// Cluster groups hosts; DRS is on unless said otherwise.
type Cluster struct {
	Name  string `yaml:"name"`
	DRS   *bool  `yaml:"drs"`
	Hosts []Host `yaml:"hosts"`
}

// Host may stand for many alike: with count, its name holds one %d.
type Host struct {
	Name          string   `yaml:"name"`
	Count         int      `yaml:"count"`
	CPU           int      `yaml:"cpu"` // cores
	MemoryGB      int64    `yaml:"memory_gb"`
	State         string   `yaml:"state"` // connected, disconnected, notResponding
	Maintenance   bool     `yaml:"maintenance"`
	Datastores    []string `yaml:"datastores"` // nothing means all of the datacenter's
	GPUs          []GPU    `yaml:"gpus"`
	GPUPolicy     string   `yaml:"gpu_policy"`     // hopper, ampere, adversarial
	GPUAssignment string   `yaml:"gpu_assignment"` // performance, consolidation
	Cards         []Card   `yaml:"cards"`          // passed through whole
	DeviceGroups  []string `yaml:"device_groups"`  // such as Nvidia:2@grid_a100d-80c%NVLink
}

// GPU is a physical GPU, or with count several alike whose bus numbers follow each other.
type GPU struct {
	Model    string   `yaml:"model"`
	PCI      string   `yaml:"pci"`
	Count    int      `yaml:"count"`
	MemoryGB int      `yaml:"memory_gb"`
	Mode     string   `yaml:"mode"`
	Profiles []string `yaml:"profiles"`
}

// Card is a PCI device that VMs may have whole, by its address or by what it is.
type Card struct {
	Model    string `yaml:"model"`
	Address  string `yaml:"address"`
	VendorID string `yaml:"vendor_id"` // four hexadecimal digits
	DeviceID string `yaml:"device_id"`
	Label    string `yaml:"label"`
}

// Template is a VM template; an image key makes its clones guests (see --image).
type Template struct {
	Name        string            `yaml:"name"`
	Folder      string            `yaml:"folder"`
	Image       string            `yaml:"image"`
	Cluster     string            `yaml:"cluster"`
	Datastore   string            `yaml:"datastore"`
	Network     string            `yaml:"network"`
	CPU         int32             `yaml:"cpu"`
	MemoryGB    int64             `yaml:"memory_gb"`
	DiskGB      int64             `yaml:"disk_gb"`
	Firmware    string            `yaml:"firmware"`
	Hardware    string            `yaml:"hardware"`
	GuestID     string            `yaml:"guest_id"`
	Snapshot    string            `yaml:"snapshot"` // its name, for linked clones; "" makes none
	ExtraConfig map[string]string `yaml:"extra_config"`
}

// VM is a VM that nobody's fleet owns, or with count several, their names holding one %d.
type VM struct {
	Name        string            `yaml:"name"`
	Count       int               `yaml:"count"`
	Folder      string            `yaml:"folder"`
	Cluster     string            `yaml:"cluster"`
	Host        string            `yaml:"host"`
	Datastore   string            `yaml:"datastore"`
	Network     string            `yaml:"network"`
	Image       string            `yaml:"image"`
	CPU         int32             `yaml:"cpu"`
	MemoryGB    int64             `yaml:"memory_gb"`
	DiskGB      int64             `yaml:"disk_gb"`
	Power       string            `yaml:"power"` // off (default) or on
	GPUProfiles []string          `yaml:"gpu_profiles"`
	NoConfig    bool              `yaml:"no_config"` // as vCenter shows a VM that is just being made
	Connection  string            `yaml:"connection"`
	ExtraConfig map[string]string `yaml:"extra_config"`
}

// Generate adds plain VMs by the thousand, spread over the hosts of one cluster.
type Generate struct {
	VMs       int     `yaml:"vms"`
	Prefix    string  `yaml:"prefix"`
	Cluster   string  `yaml:"cluster"`
	Folder    string  `yaml:"folder"`
	PoweredOn float64 `yaml:"powered_on"` // share, 0 to 1
}
