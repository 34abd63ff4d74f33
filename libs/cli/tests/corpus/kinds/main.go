// Makes the corpus that the templates of libs/cli are held against: cases.json is what Go's own text/template does
// with the templates in templates.txt. Run it again after a change there, with Debian's golang-go:
//
//	cd libs/cli/tests/corpus/kinds && go run main.go data.go < templates.txt > cases.json
//
// A case has the name of its data (data.go, and again in ../../kinds.rs), the template, and either what was written or the
// error. In templates.txt a line is `data<TAB>template`, the template as a Go string without its quotes; lines that begin
// with `#` are comments.
package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/template"
)

type result struct {
	Data     string  `json:"data"`
	Template string  `json:"template"`
	Output   *string `json:"output,omitempty"`
	Hex      string  `json:"hex,omitempty"` // output that is not UTF-8
	Error    *string `json:"error,omitempty"`
}

// funcs are those of podman's (common/pkg/report/template.go), word for word.
var funcs = template.FuncMap{
	"join": strings.Join,
	"json": func(v interface{}) string {
		buf := new(bytes.Buffer)
		enc := json.NewEncoder(buf)
		enc.SetEscapeHTML(false)
		_ = enc.Encode(v)
		return strings.TrimSpace(buf.String())
	},
	"lower": strings.ToLower,
	"pad": func(source string, prefix, suffix int) string {
		if source == "" {
			return source
		}
		return strings.Repeat(" ", prefix) + source + strings.Repeat(" ", suffix)
	},
	"split": strings.Split,
	"title": strings.Title,
	"truncate": func(source string, length int) string {
		if len(source) < length {
			return source
		}
		return source[:length]
	},
	"upper": strings.ToUpper,
}

func run(name, text string) result {
	r := result{Data: name, Template: text}
	data, ok := fixtures[name]
	if !ok {
		panic("no data named " + name)
	}
	fail := func(err error) result {
		message := err.Error()
		r.Error = &message
		return r
	}
	t, err := template.New("t").Funcs(funcs).Parse(text)
	if err != nil {
		return fail(err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, data); err != nil {
		return fail(err)
	}
	text = out.String()
	if strings.ToValidUTF8(text, "") == text {
		r.Output = &text
	} else {
		r.Hex = hex.EncodeToString(out.Bytes())
	}
	return r
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	fmt.Fprint(out, "[")
	separator := "\n"
	for in.Scan() {
		line := in.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, quoted, ok := strings.Cut(line, "\t")
		if !ok {
			panic("no tab in " + line)
		}
		text, err := strconv.Unquote(`"` + strings.ReplaceAll(quoted, `"`, `\"`) + `"`)
		if err != nil {
			panic(line)
		}
		var one bytes.Buffer
		enc := json.NewEncoder(&one)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(run(name, text)); err != nil {
			panic(err)
		}
		fmt.Fprintf(out, "%s  %s", separator, strings.TrimSpace(one.String()))
		separator = ",\n"
	}
	fmt.Fprint(out, "\n]\n")
}
