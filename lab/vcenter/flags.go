package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

type options struct {
	site, listen, containers, label, network, subnet string
	stateDir, cert, key, passwordFile, readyFile     string
	images                                           images
}

// images maps a template's image key to a Docker image.
type images map[string]string

func (i images) String() string { return "" }

// Set implements flag.Value.
func (i images) Set(text string) error {
	key, image, ok := strings.Cut(text, "=")
	if !ok || key == "" || image == "" {
		return errors.New("KEY=IMAGE is needed")
	}
	i[key] = image
	return nil
}

func parseFlags(args []string) (options, error) {
	o := options{images: images{}}
	f := flag.NewFlagSet("lab-vcenter", flag.ContinueOnError)
	f.StringVar(&o.site, "site", "", "model file of the vCenter (YAML)")
	f.StringVar(&o.listen, "listen", "127.0.0.1:0", "address of the vCenter")
	f.StringVar(&o.containers, "containers", "none", "what stands behind a powered-on VM: docker or none")
	f.StringVar(&o.label, "label", "triton-fleet.lab=none", "label of every container, key=value")
	f.StringVar(&o.network, "docker-network", "", "user-defined Docker network of the VMs")
	f.StringVar(&o.subnet, "subnet", "198.18.7.0/24", "subnet of that network")
	f.Var(o.images, "image", "KEY=IMAGE: the Docker image of templates with that image key (repeatable)")
	f.StringVar(&o.stateDir, "state-dir", "", "directory for files of the VMs")
	f.StringVar(&o.cert, "tls-cert", "", "certificate (PEM)")
	f.StringVar(&o.key, "tls-key", "", "its key (PEM)")
	f.StringVar(&o.passwordFile, "password-file", "", "password of users that have none in the model file")
	f.StringVar(&o.readyFile, "ready-file", "", "file to write when the lab is ready")
	var usage strings.Builder
	f.SetOutput(&usage)
	if err := f.Parse(args); err != nil {
		f.SetOutput(io.Discard)
		return o, fmt.Errorf("%s", strings.TrimSpace(usage.String()))
	}
	for name, value := range map[string]string{
		"site": o.site, "state-dir": o.stateDir, "tls-cert": o.cert, "tls-key": o.key, "password-file": o.passwordFile, "ready-file": o.readyFile,
	} {
		if value == "" {
			return o, fmt.Errorf("--%s is missing", name)
		}
	}
	if len(f.Args()) > 0 {
		return o, fmt.Errorf("unknown argument %q", f.Arg(0))
	}
	if o.containers != "docker" && o.containers != "none" {
		return o, fmt.Errorf("--containers is docker or none, not %q", o.containers)
	}
	if o.containers == "docker" && o.network == "" {
		return o, errors.New("--docker-network is missing: containers need a network whose addresses the lab may choose")
	}
	return o, nil
}
