// Diffs every object of a folder with a cluster as Flux's kustomize-controller does: ResourceManager.Diff, one by one.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fluxcd/pkg/ssa"
	"github.com/fluxcd/pkg/ssa/utils"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

type result struct {
	Objects   int                `json:"objects"`
	Differing int64              `json:"differing"`
	Seconds   map[string]float64 `json:"seconds"`
}

func main() {
	kubeconfig := flag.String("kubeconfig", "", "kubeconfig file")
	folder := flag.String("dir", "", "folder with manifests")
	manager := flag.String("manager", "kubectl", "field manager")
	concurrency := flag.Int("concurrency", 1, "objects at a time")
	flag.Parse()
	done, err := run(*kubeconfig, *folder, *manager, *concurrency)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(done); err != nil {
		os.Exit(1)
	}
}

func run(kubeconfig, folder, manager string, concurrency int) (*result, error) {
	begin := time.Now()
	objects, err := read(folder)
	if err != nil {
		return nil, err
	}
	parsed := time.Now()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS = -1 // no throttling on the client's side: the API server's own limits count
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	mapper, err := apiutil.NewDynamicRESTMapper(config, httpClient)
	if err != nil {
		return nil, err
	}
	kube, err := client.New(config, client.Options{HTTPClient: httpClient, Mapper: mapper})
	if err != nil {
		return nil, err
	}
	differing, err := diff(ssa.NewResourceManager(kube, nil, ssa.Owner{Field: manager}), objects, concurrency)
	if err != nil {
		return nil, err
	}
	seconds := map[string]float64{"parse": parsed.Sub(begin).Seconds(), "diff": time.Since(parsed).Seconds()}
	return &result{len(objects), differing, seconds}, nil
}

func read(folder string) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".yaml") {
			return err
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		found, err := utils.ReadObjects(file)
		objects = append(objects, found...)
		return err
	})
	return objects, err
}

func diff(manager *ssa.ResourceManager, objects []*unstructured.Unstructured, concurrency int) (int64, error) {
	var differing atomic.Int64
	var firstError atomic.Pointer[error]
	var workers sync.WaitGroup
	work := make(chan *unstructured.Unstructured)
	for range concurrency {
		workers.Go(func() {
			for object := range work {
				entry, _, _, err := manager.Diff(context.Background(), object, ssa.DefaultDiffOptions())
				if err != nil {
					firstError.CompareAndSwap(nil, &err)
				} else if entry.Action != ssa.UnchangedAction {
					differing.Add(1)
				}
			}
		})
	}
	for _, object := range objects {
		work <- object
	}
	close(work)
	workers.Wait()
	if failed := firstError.Load(); failed != nil {
		return 0, *failed
	}
	return differing.Load(), nil
}
