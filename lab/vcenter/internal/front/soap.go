package front

import (
	"bytes"
	"crypto/sha256"
	stdxml "encoding/xml"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vim25/xml"
)

const sessionCookie = "vmware_soap_session"

// parse reads just enough of a request: the method, its object, and who logs in.
func parse(body []byte) (method string, this types.ManagedObjectReference, login string) {
	dec := stdxml.NewDecoder(bytes.NewReader(body))
	inBody := false
	for {
		token, err := dec.Token()
		if err != nil {
			return method, this, login
		}
		start, ok := token.(stdxml.StartElement)
		if !ok {
			continue
		}
		switch {
		case !inBody:
			inBody = start.Name.Local == "Body"
		case method == "":
			method = start.Name.Local
		case start.Name.Local == "_this":
			for _, a := range start.Attr {
				if a.Name.Local == "type" {
					this.Type = a.Value
				}
			}
			this.Value = text(dec)
			if !strings.HasPrefix(method, "Login") {
				return method, this, login
			}
		case start.Name.Local == "userName":
			return method, this, text(dec)
		}
	}
}

// specFields lists the fields that a request's specification sets: the elements right below <spec> and <config>, and what is
// done to devices as deviceChange.add, .edit or .remove. Where a clone goes (<location>) is no field of its hardware.
func specFields(body []byte) []string {
	var found, path []string
	dec := stdxml.NewDecoder(bytes.NewReader(body))
	for {
		token, err := dec.Token()
		if err != nil {
			return found
		}
		switch t := token.(type) {
		case stdxml.StartElement:
			path = append(path, t.Name.Local)
			if slices.Contains(path, "location") || len(path) < 2 {
				continue
			}
			if parent := path[len(path)-2]; parent == "spec" || parent == "config" {
				found = append(found, t.Name.Local)
			} else if t.Name.Local == "operation" && parent == "deviceChange" {
				found = append(found, "deviceChange."+text(dec))
			}
		case stdxml.EndElement:
			path = path[:len(path)-1]
		}
	}
}

// text reads the character data up to the end of the element.
func text(dec *stdxml.Decoder) string {
	token, err := dec.Token()
	if data, ok := token.(stdxml.CharData); err == nil && ok {
		return string(data)
	}
	return ""
}

// sessionOf is the session key that a request carries, and what may be shown of it.
func sessionOf(r *http.Request) (key, shown string) {
	if c, err := r.Cookie(sessionCookie); err == nil && c.Value != "" {
		key = strings.Trim(c.Value, `"`)
		return key, fmt.Sprintf("%x", sha256.Sum256([]byte(key)))[:12]
	}
	return "", ""
}

// faultDetail names its element after the fault's type, as vCenter does.
type faultDetail struct{ fault types.BaseMethodFault }

// MarshalXML implements xml.Marshaler.
func (d *faultDetail) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	kind := reflect.TypeOf(d.fault).Elem().Name()
	start.Name.Local = kind + "Fault"
	start.Attr = append(start.Attr,
		xml.Attr{Name: xml.Name{Local: "xmlns"}, Value: "urn:vim25"},
		xml.Attr{Name: xml.Name{Local: "xsi:type"}, Value: kind})
	return e.EncodeElement(d.fault, start)
}

const envelopeHead = xml.Header + `<soapenv:Envelope xmlns:soapenc="http://schemas.xmlsoap.org/soap/encoding/" ` +
	`xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsd="http://www.w3.org/2001/XMLSchema" ` +
	`xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>`

const envelopeTail = `</soapenv:Body></soapenv:Envelope>`

// writeFault answers a call with a fault.
func writeFault(w http.ResponseWriter, fault types.BaseMethodFault, message string) {
	var detail bytes.Buffer
	e := xml.NewEncoder(&detail)
	if err := e.Encode(&faultDetail{fault}); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	w.WriteHeader(http.StatusInternalServerError)
	var escaped bytes.Buffer
	_ = stdxml.EscapeText(&escaped, []byte(message))
	_, _ = io.WriteString(w, envelopeHead+"<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>"+escaped.String()+
		"</faultstring><detail>"+detail.String()+"</detail></soapenv:Fault>"+envelopeTail)
}

// writeTask answers a call with a task.
func writeTask(w http.ResponseWriter, method string, task types.ManagedObjectReference) {
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	_, _ = fmt.Fprintf(w, `%s<%sResponse xmlns="urn:vim25"><returnval type="Task">%s</returnval></%sResponse>%s`,
		envelopeHead, method, task.Value, method, envelopeTail)
}

// between cuts the text between two marks out of an answer.
func between(body []byte, from, to string) string {
	_, rest, ok := strings.Cut(string(body), from)
	if !ok {
		return ""
	}
	found, _, _ := strings.Cut(rest, to)
	return found
}
