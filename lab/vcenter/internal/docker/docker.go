// Package docker runs the guests of a lab's VMs as containers with systemd.
//
// The simulator has a mechanism of its own for that (RUN.container), which is not used: it writes the container's own
// network over the VM's (its card's MAC address, device key and network name), puts its whole environment into the log,
// keeps the VM locked while the container starts, and passes guestinfo through a shell unquoted.
package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"strings"

	"triton-fleet/lab/vcenter/internal/lab"
)

// Config says which containers are this lab's.
type Config struct {
	Label   string // key=value, on everything that belongs to the checkout
	Owner   string // this vCenter's own mark: several may share a checkout
	Network string
	Images  map[string]string // by key
}

const ownerLabel = "triton-fleet.lab-vcenter"

// Docker is a lab.Runtime.
type Docker struct {
	cfg    Config
	key    string // of the label
	hash   string // its value
	engine *engine
}

// New checks that Docker answers and that the network and the images are there.
func New(cfg Config) (*Docker, error) {
	key, hash, ok := strings.Cut(cfg.Label, "=")
	if !ok || hash == "" {
		return nil, fmt.Errorf("--label %q: a key=value is needed", cfg.Label)
	}
	e, err := newEngine()
	if err != nil {
		return nil, err
	}
	if err := e.call(http.MethodGet, "/networks/"+cfg.Network, nil, nil, nil); err != nil {
		return nil, fmt.Errorf("--docker-network %s: %w", cfg.Network, err)
	}
	for key, image := range cfg.Images {
		if err := e.call(http.MethodGet, "/images/"+image+"/json", nil, nil, nil); err != nil {
			return nil, fmt.Errorf("--image %s=%s: %w", key, image, err)
		}
	}
	return &Docker{cfg: cfg, key: key, hash: hash, engine: e}, nil
}

func (d *Docker) container(vm string) string { return d.hash + "-" + vm }

type object = map[string]any

// container of a VM: systemd as process 1 with a cgroup namespace of its own, Docker inside on a volume.
func (d *Docker) spec(g lab.GuestSpec) object {
	endpoint := object{"IPAMConfig": object{"IPv4Address": g.Address}}
	env := []string{}
	for name, value := range g.Env {
		env = append(env, name+"="+value)
	}
	spec := object{
		"Image": d.cfg.Images[g.Image], "Hostname": g.Name, "Env": env, "StopSignal": "SIGRTMIN+3",
		"Labels":  map[string]string{d.key: d.hash, ownerLabel: d.cfg.Owner},
		"Volumes": object{"/var/lib/docker": object{}},
		"HostConfig": object{
			"CgroupnsMode": "private", "NetworkMode": d.cfg.Network,
			"CapAdd":            []string{"SYS_ADMIN", "NET_ADMIN", "NET_RAW", "NET_BROADCAST", "SYSLOG", "SYS_PTRACE"},
			"SecurityOpt":       []string{"seccomp=unconfined", "apparmor=unconfined"},
			"DeviceCgroupRules": []string{"a *:* rwm"},
			"Tmpfs":             map[string]string{"/run": "", "/run/lock": "", "/tmp": "exec"},
			"Mounts":            []object{{"Type": "bind", "Source": g.Shared, "Target": "/run/host-gpu", "ReadOnly": true}},
		},
		"NetworkingConfig": object{"EndpointsConfig": object{d.cfg.Network: endpoint}},
	}
	if d.engine.perNet {
		endpoint["MacAddress"] = g.MAC
	} else {
		spec["MacAddress"] = g.MAC
	}
	return spec
}

// Start implements lab.Runtime.
func (d *Docker) Start(g lab.GuestSpec) error {
	name := d.container(g.Name)
	if g.First {
		if d.cfg.Images[g.Image] == "" {
			return fmt.Errorf("no --image %s=… was given", g.Image)
		}
		create := func() error {
			return d.engine.call(http.MethodPost, "/containers/create", url.Values{"name": {name}}, d.spec(g), nil)
		}
		err := create()
		if status(err, http.StatusConflict) { // left by a lab that was killed
			if err = d.Remove(g.Name); err == nil {
				err = create()
			}
		}
		if err != nil {
			return err
		}
	}
	err := d.engine.call(http.MethodPost, "/containers/"+name+"/start", nil, nil, nil)
	if err != nil && g.First {
		err = errors.Join(err, d.Remove(g.Name))
	}
	return err
}

// Kill implements lab.Runtime.
func (d *Docker) Kill(vm string) error {
	err := d.engine.call(http.MethodPost, "/containers/"+d.container(vm)+"/kill", nil, nil, nil)
	if status(err, http.StatusConflict) { // it has ended by itself
		return nil
	}
	return err
}

// Stop implements lab.Runtime.
func (d *Docker) Stop(vm string) error {
	return d.engine.call(http.MethodPost, "/containers/"+d.container(vm)+"/stop", url.Values{"t": {"30"}}, nil, nil)
}

// Remove implements lab.Runtime.
func (d *Docker) Remove(vm string) error {
	err := d.engine.call(http.MethodDelete, "/containers/"+d.container(vm), url.Values{"force": {"1"}, "v": {"1"}}, nil, nil)
	if status(err, http.StatusNotFound) {
		return nil
	}
	return err
}

// Running implements lab.Runtime.
func (d *Docker) Running(vm string) (bool, error) {
	var c struct{ State struct{ Running bool } }
	err := d.engine.call(http.MethodGet, "/containers/"+d.container(vm)+"/json", nil, nil, &c)
	return c.State.Running, err
}

// filters is a query that selects this vCenter's containers.
func (d *Docker) filters(more map[string][]string) url.Values {
	f := map[string][]string{"label": {d.cfg.Label, ownerLabel + "=" + d.cfg.Owner}}
	for k, v := range more {
		f[k] = v
	}
	data, _ := json.Marshal(f)
	return url.Values{"filters": {string(data)}}
}

// RemoveAll deletes every container of this vCenter, with its volumes.
func (d *Docker) RemoveAll() error {
	query := d.filters(nil)
	query.Set("all", "1")
	var list []struct{ Names []string }
	if err := d.engine.call(http.MethodGet, "/containers/json", query, nil, &list); err != nil {
		return err
	}
	failed := make(chan error, len(list))
	for _, c := range list {
		go func() { failed <- d.Remove(strings.TrimPrefix(strings.TrimPrefix(c.Names[0], "/"), d.hash+"-")) }()
	}
	var err error
	for range list {
		err = errors.Join(err, <-failed)
	}
	return err
}

// Watch calls ended with a VM's name whenever its container has stopped, until ctx ends.
func (d *Docker) Watch(ctx context.Context, ended func(vm string)) error {
	body, err := d.engine.open(ctx, http.MethodGet, "/events", d.filters(map[string][]string{"type": {"container"}, "event": {"die"}}), nil)
	if err != nil {
		return err
	}
	go func() {
		defer body.Close()
		for dec := json.NewDecoder(body); ; {
			var event struct {
				Actor struct{ Attributes map[string]string }
			}
			if err := dec.Decode(&event); err != nil {
				if ctx.Err() == nil && !errors.Is(err, io.EOF) {
					log.Printf("docker's events ended: %s; a guest that shuts itself down is no longer noticed", err)
				}
				return
			}
			go ended(strings.TrimPrefix(event.Actor.Attributes["name"], d.hash+"-"))
		}
	}()
	return nil
}
