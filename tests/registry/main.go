// A registry of OCI artifacts in memory, over TLS, that may ask for a login.
package main

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"

	"github.com/google/go-containerregistry/pkg/registry"
)

// Takes the files of its certificate and key, and from the environment REGISTRY_LOGIN (`NAME:PASSWORD`, or nothing).
// Prints its port.
func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, password, _ := r.BasicAuth()
		wanted := os.Getenv("REGISTRY_LOGIN")
		if wanted != "" && subtle.ConstantTimeCompare([]byte(name+":"+password), []byte(wanted)) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED"}]}`, http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	})
	server := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0)}
	log.Fatal(server.ServeTLS(listener, os.Args[1], os.Args[2]))
}
