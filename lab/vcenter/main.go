// Command lab-vcenter is the embedded lab's vCenter: govmomi's simulator with GPUs, guests and a control interface.
package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"triton-fleet/lab/vcenter/internal/docker"
	"triton-fleet/lab/vcenter/internal/front"
	"triton-fleet/lab/vcenter/internal/lab"
	"triton-fleet/lab/vcenter/internal/site"
)

func main() {
	log.SetFlags(log.LstdFlags | log.Lmicroseconds)
	o, err := parseFlags(os.Args[1:])
	if err == nil {
		err = run(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab-vcenter:", err)
		os.Exit(1)
	}
}

// ready is the file that says where the lab listens.
type ready struct {
	Schema       int           `json:"schema"`
	Host         string        `json:"host"`
	Port         int           `json:"port"`
	User         string        `json:"user"`
	Control      controlAccess `json:"control"`
	PID          int           `json:"pid"`
	InstanceUUID string        `json:"instance_uuid"`
}

type controlAccess struct {
	URL   string `json:"url"`
	Token string `json:"token"`
}

func run(o options) error {
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	model, err := site.Load(o.site)
	if err != nil {
		return err
	}
	password, err := os.ReadFile(o.passwordFile)
	if err != nil {
		return fmt.Errorf("--password-file: %w", err)
	}
	certificate, err := tls.LoadX509KeyPair(o.cert, o.key)
	if err != nil {
		return fmt.Errorf("--tls-cert, --tls-key: %w", err)
	}
	state, err := filepath.Abs(o.stateDir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(state, 0o755); err != nil {
		return fmt.Errorf("--state-dir: %w", err)
	}
	cfg := lab.Config{Site: model, Password: strings.TrimRight(string(password), "\r\n"), StateDir: state, Subnet: o.subnet, Images: map[string]bool{}}
	if cfg.Password == "" {
		return fmt.Errorf("--password-file %s is empty", o.passwordFile)
	}
	for key := range o.images {
		cfg.Images[key] = true
	}
	var containers *docker.Docker
	if o.containers == "docker" {
		owner := token(8)
		if containers, err = docker.New(docker.Config{Label: o.label, Owner: owner, Network: o.network, Images: o.images}); err != nil {
			return err
		}
		cfg.Runtime = containers
		defer func() {
			if err := containers.RemoveAll(); err != nil {
				log.Printf("removing containers: %s", err)
			}
		}()
	}
	rules := &front.Rules{}
	l, err := lab.New(cfg, rules)
	if err != nil {
		return err
	}
	defer l.Close()
	if containers != nil {
		if err := containers.Watch(stop, l.GuestEnded); err != nil {
			return err
		}
	}
	return serve(stop, o, l, rules, certificate)
}

// serve listens until the process is asked to end.
func serve(stop context.Context, o options, l *lab.Lab, rules *front.Rules, certificate tls.Certificate) error {
	gate := &front.Gate{Inventory: l, Rules: rules, Holds: &front.Holds{}, Calls: &front.Calls{}}
	service := l.Service()
	service.Listen.Host = o.listen
	service.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	listener, err := net.Listen("tcp", o.listen) // the library panics where this is an error
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	_ = listener.Close()
	server := service.NewServer()
	defer server.Config.Close()
	gate.Next, server.Config.Handler = server.Config.Handler, gate

	control := &front.Control{Token: token(24), Lab: l, Gate: gate}
	side, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	sideServer := &http.Server{Handler: control.Handler()}
	go func() {
		if err := sideServer.Serve(side); !errors.Is(err, http.ErrServerClosed) {
			log.Printf("control: %s", err)
		}
	}()
	defer sideServer.Close()

	port, err := strconv.Atoi(server.URL.Port())
	if err != nil {
		return err
	}
	r := ready{
		Schema: 1, Host: server.URL.Hostname(), Port: port, User: l.FirstUser(), PID: os.Getpid(), InstanceUUID: l.InstanceUUID(),
		Control: controlAccess{URL: "http://" + side.Addr().String(), Token: control.Token},
	}
	if err := writeReady(o.readyFile, r); err != nil {
		return err
	}
	defer os.Remove(o.readyFile)
	log.Printf("listening on %s:%d", r.Host, r.Port)
	<-stop.Done()
	log.Print("ending")
	gate.Holds.Remove("")
	return nil
}

// writeReady writes the file whole or not at all, for the owner only: it holds the control token.
func writeReady(path string, r ready) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("--ready-file: %w", err)
	}
	return os.Rename(tmp, path)
}

func token(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}
