package component

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/dapr/components-contrib/bindings"
	bindhttp "github.com/dapr/components-contrib/bindings/http"
	"github.com/dapr/kit/logger"
	kitmd "github.com/dapr/kit/metadata"
)

// web is contrib's HTTP binding, which besides can send and receive bodies
// piece by piece, by the same metadata.
type web struct {
	bindings.OutputBinding
	client *http.Client

	url                string
	tokenHeader, token string
	responseTimeout    time.Duration // until the header of the answer; 0: none
	maxResponse        int64         // 0: none
	ignoreStatus       bool
}

var (
	_ bindings.OutputBinding = (*web)(nil)
	_ streamer               = (*web)(nil)
)

func newWeb(log logger.Logger) *web { return &web{OutputBinding: bindhttp.NewHTTP(log)} }

// webMetadata is the part of the metadata that streams need, as contrib names
// it.
type webMetadata struct {
	URL                 string
	MTLSClientCert      string
	MTLSClientKey       string
	MTLSRootCA          string
	MTLSRenegotiation   string
	SecurityToken       string
	SecurityTokenHeader string
	ErrorIfNot2XX       *bool
	ResponseTimeout     *time.Duration
	MaxResponseBodySize *kitmd.ByteSize
}

// Init reads the metadata; contrib reports what is wrong with it.
func (w *web) Init(ctx context.Context, m bindings.Metadata) error {
	if err := w.OutputBinding.Init(ctx, m); err != nil {
		return err
	}
	var md webMetadata
	if err := kitmd.DecodeMetadata(m.Properties, &md); err != nil {
		return err
	}
	w.url, w.token, w.tokenHeader = md.URL, md.SecurityToken, md.SecurityTokenHeader
	w.ignoreStatus = md.ErrorIfNot2XX != nil && !*md.ErrorIfNot2XX
	if md.ResponseTimeout != nil {
		w.responseTimeout = *md.ResponseTimeout
	}
	if md.MaxResponseBodySize != nil {
		size, err := md.MaxResponseBodySize.GetBytes()
		if err != nil {
			return err
		}
		w.maxResponse = max(size, 0)
	}
	config, err := md.tls()
	if err != nil {
		return err
	}
	w.client = &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, ForceAttemptHTTP2: true,
		ResponseHeaderTimeout: w.responseTimeout, TLSHandshakeTimeout: 15 * time.Second, IdleConnTimeout: 90 * time.Second,
	}}
	return nil
}

// tls makes the configuration for servers that use TLS.
func (md *webMetadata) tls() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	read := func(value string) ([]byte, error) { // PEM, or the name of a file with it
		if block, _ := pem.Decode([]byte(value)); block != nil {
			return []byte(value), nil
		}
		return os.ReadFile(value)
	}
	if md.MTLSRootCA != "" {
		text, err := read(md.MTLSRootCA)
		if err != nil {
			return nil, fmt.Errorf("reading mtlsRootCA: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, errors.New("mtlsRootCA has no certificate")
		}
	}
	if md.MTLSClientCert != "" && md.MTLSClientKey != "" {
		cert, err := read(md.MTLSClientCert)
		if err != nil {
			return nil, fmt.Errorf("reading mtlsClientCert: %w", err)
		}
		key, err := read(md.MTLSClientKey)
		if err != nil {
			return nil, fmt.Errorf("reading mtlsClientKey: %w", err)
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("reading mtlsClientCert: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	switch md.MTLSRenegotiation { // contrib has refused other values
	case "RenegotiateOnceAsClient":
		config.Renegotiation = tls.RenegotiateOnceAsClient
	case "RenegotiateFreelyAsClient":
		config.Renegotiation = tls.RenegotiateFreelyAsClient
	}
	return config, nil
}

// Close closes idle connections.
func (w *web) Close() error {
	if w.client != nil {
		w.client.CloseIdleConnections()
	}
	return w.OutputBinding.Close()
}

// stream makes a request. The operation is the method, or create for POST; the
// metadata path is added to the URL, and metadata that begin with a capital are
// headers.
func (w *web) stream(ctx context.Context, operation string, in Stream) (Stream, error) {
	method := strings.ToUpper(operation)
	body := in.Body
	switch method {
	case "CREATE":
		method = http.MethodPost
	case http.MethodPut, http.MethodPost, http.MethodPatch:
	case http.MethodGet, http.MethodHead, http.MethodDelete, http.MethodOptions, http.MethodTrace:
		body = nil
	default:
		return Stream{}, fmt.Errorf("%s: %w", operation, errOperation)
	}
	url := w.url
	if path := in.Metadata["path"]; path != "" {
		url = strings.TrimRight(url, "/") + "/" + strings.TrimLeft(path, "/")
	}
	ctx, cancel := context.WithCancel(ctx)
	req, err := http.NewRequestWithContext(ctx, method, url, http.NoBody)
	if err != nil {
		cancel()
		return Stream{}, err
	}
	if body != nil {
		req.Body, req.ContentLength = body, in.Size
		req.Header.Set("Content-Type", in.ContentType)
		if in.ContentType == "" {
			req.Header.Set("Content-Type", "application/json; charset=utf-8")
		}
	}
	req.Header.Set("Accept", "application/json; charset=utf-8")
	if w.token != "" && w.tokenHeader != "" {
		req.Header.Set(w.tokenHeader, w.token)
	}
	for key, value := range in.Metadata {
		if key != "" && (key[0] >= 'A' && key[0] <= 'Z' || key == "traceparent" || key == "tracestate" || key == "baggage") {
			req.Header.Set(key, value)
		}
	}
	resp, err := w.client.Do(req)
	if err != nil {
		cancel()
		return Stream{}, err
	}
	return w.answer(resp, in.Metadata["errorIfNot2XX"], cancel)
}

// answer turns a response into a stream, or into an error by its status.
func (w *web) answer(resp *http.Response, errorIfNot2XX string, cancel func()) (Stream, error) {
	strict := !w.ignoreStatus
	if v, err := strconv.ParseBool(errorIfNot2XX); err == nil {
		strict = v
	}
	out := Stream{Size: resp.ContentLength, ContentType: resp.Header.Get("Content-Type"), Metadata: map[string]string{
		"statusCode": strconv.Itoa(resp.StatusCode), "status": resp.Status,
	}}
	for key, values := range resp.Header {
		out.Metadata[key] = strings.Join(values, ", ")
	}
	if strict && resp.StatusCode/100 != 2 {
		resp.Body.Close()
		cancel()
		return out, fmt.Errorf("received status code %d", resp.StatusCode)
	}
	body := io.Reader(resp.Body)
	if w.maxResponse > 0 {
		body = io.LimitReader(body, w.maxResponse)
		out.Size = min(out.Size, w.maxResponse)
	}
	out.Body = &cancelled{Reader: body, Closer: resp.Body, cancel: cancel}
	return out, nil
}

// cancelled is a body whose request ends when it is closed.
type cancelled struct {
	io.Reader
	io.Closer
	cancel func()
}

func (c *cancelled) Close() error {
	c.cancel() // a body that never ends is not read to its end
	return c.Closer.Close()
}
