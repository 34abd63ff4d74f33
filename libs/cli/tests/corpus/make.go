// Runs templates over data through Go's text/template and writes what came out.
//
// Usage: go run make.go <templates.txt >corpus.jsonl (Debian's golang-go; nothing else is needed).
// A line of templates.txt is a template as a Go string literal; what it is run on is the fixture below, which
// ../templates.rs builds too.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/template"
	"time"
)

type Inner struct {
	Name  string
	Count int
}

type Label struct{ labels map[string]string }

type Row struct {
	ID      string
	Names   []string
	Labels  map[string]string
	Any     map[string]interface{}
	Pid     int
	Size    uint64
	Ratio   float64
	Running bool
	Stopped bool
	Empty   string
	None    []string // empty
	Nil     interface{}
	Pointer *Inner
	State   Inner
	States  []Inner
	Created time.Time
	Span    time.Duration
	Html    string
	Odd     string
}

func (r Row) Label(name string) string { return r.Labels[name] }
func (r Row) Fail() (string, error)    { return "", fmt.Errorf("it failed") }

var functions = template.FuncMap{
	"join":  strings.Join,
	"lower": strings.ToLower,
	"upper": strings.ToUpper,
	"split": strings.Split,
	"title": strings.Title,
	"json": func(v interface{}) string {
		var buffer bytes.Buffer
		encoder := json.NewEncoder(&buffer)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(v); err != nil {
			panic(err)
		}
		return strings.TrimSpace(buffer.String())
	},
	"truncate": func(s string, n int) string {
		runes := []rune(s)
		if len(runes) < n {
			return s
		}
		return string(runes[:n])
	},
	"pad": func(s string, before, after int) string {
		if s == "" {
			return s
		}
		return strings.Repeat(" ", before) + s + strings.Repeat(" ", after)
	},
}

func data() interface{} {
	return Row{
		ID:     "0123456789abcdef",
		Names:  []string{"web", "db", "cache"},
		Labels: map[string]string{"b": "two", "a": "one", "c.d": "three"},
		Any: map[string]interface{}{"x": 1, "y": "why", "list": []interface{}{1, "two", true, nil}, "nil": nil,
			"inner": map[string]interface{}{"deep": "end"}},
		None: []string{}, Pid: 42, Size: 1234567, Ratio: 0.5, Running: true,
		State: Inner{"up", 3}, States: []Inner{{"a", 1}, {"b", 2}},
		Created: time.Unix(1795219481, 470000000).UTC(), Span: 90*time.Second + 500*time.Millisecond,
		Html: `<a href="x">Tom & 'Jerry'</a>`, Odd: "tab\tnew\nü\u200b\x01",
	}
}

func main() {
	scanner := bufio.NewScanner(os.Stdin)
	scanner.Buffer(make([]byte, 1<<20), 1<<20)
	for scanner.Scan() {
		line := scanner.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		text, err := strconv.Unquote(line)
		if err != nil {
			panic(line)
		}
		var out bytes.Buffer
		t, err := template.New("inspect").Funcs(functions).Parse(text)
		if err == nil {
			err = t.Execute(&out, data())
		}
		result := []string{text, "output", out.String()}
		if err != nil {
			result = []string{text, "error", err.Error()}
		}
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(result); err != nil {
			panic(err)
		}
	}
}
