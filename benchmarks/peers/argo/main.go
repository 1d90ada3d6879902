// Compares every object of a folder with a cluster as Argo CD does: its engine's cluster cache, then its diff.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/cache"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/diff"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/utils/kube"
	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/clientcmd"
)

type result struct {
	Objects   int                `json:"objects"`
	Differing int                `json:"differing"`
	Seconds   map[string]float64 `json:"seconds"`
}

func main() {
	kubeconfig := flag.String("kubeconfig", "", "kubeconfig file")
	folder := flag.String("dir", "", "folder with manifests")
	manager := flag.String("manager", "kubectl", "field manager")
	flag.Parse()
	done, err := run(*kubeconfig, *folder, *manager)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(done); err != nil {
		os.Exit(1)
	}
}

func run(kubeconfig, folder, manager string) (*result, error) {
	begin := time.Now()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS = -1 // no throttling on the client's side: the API server's own limits count
	clusterCache := cache.NewClusterCache(config,
		cache.SetLogr(logr.Discard()),
		// an application controller keeps the manifests of what an app manages, and of nothing else
		cache.SetPopulateResourceInfoHandler(func(live *unstructured.Unstructured, _ bool) (any, bool) {
			return nil, live.GetLabels()["app.kubernetes.io/part-of"] != ""
		}),
	)
	if err := clusterCache.EnsureSynced(); err != nil {
		return nil, err
	}
	filled := time.Now()
	targets, err := read(folder)
	if err != nil {
		return nil, err
	}
	parsed := time.Now()
	managed, err := clusterCache.GetManagedLiveObjs(targets, func(*cache.Resource) bool { return false })
	if err != nil {
		return nil, err
	}
	differing := 0
	for _, target := range targets {
		compared, err := diff.Diff(target, managed[kube.GetResourceKey(target)],
			diff.WithLogr(logr.Discard()),
			diff.WithNormalizer(diff.GetNoopNormalizer()),
			diff.WithManager(manager),
			diff.WithStructuredMergeDiff(true),
			diff.WithGVKParser(clusterCache.GetGVKParser()),
		)
		if err != nil {
			return nil, err
		}
		if compared.Modified {
			differing++
		}
	}
	seconds := map[string]float64{
		"cache": filled.Sub(begin).Seconds(),
		"parse": parsed.Sub(filled).Seconds(),
		"diff":  time.Since(parsed).Seconds(),
	}
	return &result{len(targets), differing, seconds}, nil
}

func read(folder string) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".yaml") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		found, err := kube.SplitYAML(text)
		objects = append(objects, found...)
		return err
	})
	return objects, err
}
