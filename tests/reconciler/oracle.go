// The oracle: renders templates with Go's own text/template, Debian's sprig, and Tinkerbell's functions as it documents them.
// Reads {"data": …, "templates": […]} from stdin, writes [{"output": …, "error": …}] to stdout.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"github.com/spf13/cast"
	"gopkg.in/yaml.v2"
)

type result struct {
	Output string `json:"output"`
	Error  string `json:"error"`
}

// plain turns JSON numbers into int where they are whole, as a YAML reader would, and float64 otherwise.
func plain(value interface{}) interface{} {
	switch v := value.(type) {
	case json.Number:
		if !strings.ContainsAny(v.String(), ".eE") {
			if whole, err := v.Int64(); err == nil {
				return int(whole)
			}
		}
		number, _ := v.Float64()
		return number
	case []interface{}:
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]interface{}:
		for key := range v {
			v[key] = plain(v[key])
		}
	}
	return value
}

// printf is Go's, with an error where Go writes its complaint into the text.
func printf(format string, values ...interface{}) (string, error) {
	text := fmt.Sprintf(format, values...)
	if strings.Contains(text, "%!") {
		return "", errors.New(text)
	}
	return text, nil
}

func functions() template.FuncMap {
	table := sprig.HermeticTxtFuncMap()
	delete(table, "slice") // sprig's would hide Go's own, which also slices text
	table["regexMatch"] = table["mustRegexMatch"] // sprig's takes a broken pattern for one that does not match
	table["printf"] = printf
	table["int"] = func(value interface{}) (int, error) {
		whole, err := cast.ToInt64E(value)
		return int(whole), err
	}
	table["add"] = func(values ...interface{}) (sum int64, err error) {
		for _, value := range values {
			whole, err := cast.ToInt64E(value) // sprig would count nonsense as 0
			if err != nil {
				return 0, err
			}
			sum += whole
		}
		return sum, nil
	}
	table["required"] = func(message string, value interface{}) (interface{}, error) {
		if value == nil || value == "" {
			return nil, errors.New(message)
		}
		return value, nil
	}
	table["formatPartition"] = func(device string, partition int) string {
		switch {
		case strings.HasPrefix(device, "/dev/disk/"):
			return fmt.Sprintf("%s-part%d", device, partition)
		case strings.TrimRight(device, "0123456789") != device:
			return fmt.Sprintf("%sp%d", device, partition)
		}
		return fmt.Sprintf("%s%d", device, partition)
	}
	table["netmaskToPrefixLength"] = func(netmask string) (string, error) {
		address := net.ParseIP(netmask)
		if address == nil || address.To4() == nil {
			return "", errors.New("not an IPv4 netmask")
		}
		ones, _ := net.IPMask(address.To4()).Size()
		return fmt.Sprint(ones), nil
	}
	table["toYaml"] = func(value interface{}) (string, error) {
		text, err := yaml.Marshal(value)
		return string(text), err
	}
	table["fromYaml"] = func(text string) (value interface{}, err error) {
		if text == "" {
			return nil, errors.New("empty")
		}
		err = yaml.Unmarshal([]byte(text), &value)
		return value, err
	}
	return table
}

func render(text string, data interface{}) (res result) {
	parsed, err := template.New("the whole").Option("missingkey=error").Funcs(functions()).Parse(text)
	if err != nil {
		return result{Error: err.Error()}
	}
	var output bytes.Buffer
	if err := parsed.Execute(&output, data); err != nil {
		return result{Error: err.Error()}
	}
	return result{Output: output.String()}
}

func main() {
	var request struct {
		Data      interface{} `json:"data"`
		Templates []string    `json:"templates"`
	}
	decoder := json.NewDecoder(os.Stdin)
	decoder.UseNumber()
	if err := decoder.Decode(&request); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	data := plain(request.Data)
	results := make([]result, 0, len(request.Templates))
	for _, text := range request.Templates {
		results = append(results, render(text, data))
	}
	if err := json.NewEncoder(os.Stdout).Encode(results); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
