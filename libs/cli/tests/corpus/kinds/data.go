package main

import (
	"encoding/json"
	"time"
)

type State struct {
	Status   string
	Running  bool
	Pid      int
	ExitCode int
	Health   *Health
}

type Health struct{ Status string }

type Mount struct {
	Type   string
	Source string `json:"Source"`
	RW     bool
}

// Container looks like what podman lists and inspects.
type Container struct {
	ID       string `json:"Id"`
	Names    []string
	Image    string
	Command  []string
	Labels   map[string]string
	Created  time.Time
	Uptime   time.Duration
	State    State
	Size     int
	Mem      uint64
	Port     uint64
	CPU      float64
	Pod      string `json:"Pod,omitempty"`
	Mounts   []Mount
	Extra    interface{}
	Options  map[string]interface{}
	Ports    map[int]string
	NilMap   map[string]string
	NilSlice []string
}

// Label is podman's method of the same name.
func (c Container) Label(name string) string { return c.Labels[name] }

// RunningFor is a method without arguments.
func (c Container) RunningFor() string { return "2 minutes ago" }

var created = time.Date(2026, 11, 21, 0, 4, 41, 470000000, time.UTC)

func container(id string) Container {
	return Container{
		ID:      id,
		Names:   []string{"web", "db"},
		Image:   "localhost/hello:latest",
		Command: []string{"sh", "-c", "echo \"hi\" <&>"},
		Labels:  map[string]string{"b": "2", "a": "1", "app": "web & db"},
		Created: created,
		Uptime:  90*time.Second + 500*time.Millisecond,
		State:   State{Status: "running", Running: true, Pid: 4711, ExitCode: -1},
		Size:    -1234567,
		Mem:     18446744073709551615,
		Port:    8080,
		CPU:     12.5,
		Mounts:  []Mount{{"bind", "/a", true}, {"tmpfs", "", false}},
		Extra:   nil,
		Options: map[string]interface{}{"n": 1, "s": "x", "nil": nil, "l": []interface{}{1, "a", nil}},
		Ports:   map[int]string{443: "https", 80: "http"},
	}
}

func decoded(text string) interface{} {
	var v interface{}
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		panic(err)
	}
	return v
}

var fixtures = map[string]interface{}{
	"nil":    nil,
	"c":      container("0123456789ab"),
	"list":   []Container{container("aaa"), container("bbb")},
	"any":    []interface{}{container("aaa")},
	"empty":  []Container{},
	"string": "h\u00e9llo <w\u00f6rld> & 'you' \"\\",
	"bytes":  "a\xffb\x00c",
	"int":    42,
	"fn":     map[string]interface{}{"Add": func(a, b int) int { return a + b }},
	"strs":   []string{"a", "b", "c"},
	"json":   decoded(`{"Id":"x","N":1.5,"Big":1e21,"Int":1000000,"T":true,"Nil":null,"L":[1,"a",null,[]],"M":{"z":1,"a":{"b":"c"}},"E":"","Key with space":1}`),
}
