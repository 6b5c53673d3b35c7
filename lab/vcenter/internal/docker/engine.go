package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// engine speaks Docker's HTTP interface on its unix socket. The command-line client would do, but its own version decides
// whether a MAC address can be given at all, and each call costs a process.
type engine struct {
	http    *http.Client
	version string // of the interface, as agreed
	perNet  bool   // the MAC address belongs to the network's settings (1.44 and later)
}

// newest is the version from which on the lab uses nothing new.
const newest = 44

func newEngine() (*engine, error) {
	socket := "/var/run/docker.sock"
	if host := os.Getenv("DOCKER_HOST"); host != "" {
		path, ok := strings.CutPrefix(host, "unix://")
		if !ok {
			return nil, fmt.Errorf("DOCKER_HOST=%s: the lab needs a Docker on this machine, reached by unix://", host)
		}
		socket = path
	}
	e := &engine{http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}}
	var v struct{ ApiVersion string }
	if err := e.call(http.MethodGet, "/version", nil, nil, &v); err != nil {
		return nil, fmt.Errorf("docker does not answer on %s: %w", socket, err)
	}
	_, minor, _ := strings.Cut(v.ApiVersion, ".")
	n, err := strconv.Atoi(minor)
	if err != nil {
		return nil, fmt.Errorf("docker on %s says its interface has version %q", socket, v.ApiVersion)
	}
	e.version, e.perNet = fmt.Sprintf("/v1.%d", min(n, newest)), n >= newest
	return e, nil
}

// failure is an answer of Docker other than success.
type failure struct {
	status  int
	message string
}

func (f *failure) Error() string { return "docker: " + f.message }

// status tells whether an error is Docker's answer with that status.
func status(err error, code int) bool {
	var f *failure
	return errors.As(err, &f) && f.status == code
}

// open sends a request and returns the answer's body, which the caller closes.
func (e *engine) open(ctx context.Context, method, path string, query url.Values, in any) (io.ReadCloser, error) {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(data)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://docker"+e.version+path+"?"+query.Encode(), body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	w, err := e.http.Do(r)
	if err != nil {
		return nil, err
	}
	if w.StatusCode < 400 {
		return w.Body, nil
	}
	defer w.Body.Close()
	var f struct{ Message string }
	_ = json.NewDecoder(io.LimitReader(w.Body, 1<<20)).Decode(&f)
	if f.Message == "" {
		f.Message = w.Status
	}
	return nil, &failure{w.StatusCode, f.Message}
}

// call sends a request and decodes its answer.
func (e *engine) call(method, path string, query url.Values, in, out any) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	body, err := e.open(ctx, method, path, query, in)
	if err != nil {
		return err
	}
	defer body.Close()
	if out == nil {
		_, err = io.Copy(io.Discard, body)
		return err
	}
	return json.NewDecoder(body).Decode(out)
}
