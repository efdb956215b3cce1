package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net/http"
	"time"
)

// upload sends a file of 64 to 256 MiB again and again until ctx ends.
func upload(ctx context.Context) error {
	base := "http://127.0.0.1:" + env("DAPR_HTTP_PORT", "3500")
	broken := 0
	for {
		wait := 10*time.Second + rand.N(10*time.Second)
		size := int64(64+rand.N(193)) << 20
		if err := send(ctx, base, size); err != nil {
			broken++
			wait = min(time.Duration(broken)*500*time.Millisecond, 10*time.Second)
			if ctx.Err() == nil {
				say("upload of %d MiB broke: %v; again in %v", size>>20, err, wait)
			}
		} else {
			broken = 0
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// send makes up a file of size bytes, uploads it and compares the receipt.
func send(ctx context.Context, base string, size int64) error {
	file := newFile(size)
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, base+"/v1.0/invoke/store/method/files/big", file)
	if err != nil {
		return err
	}
	req.ContentLength = size
	req.Header.Set("Content-Type", "application/octet-stream")
	start := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(resp.Body, 1024))
		return fmt.Errorf("%s: %s", resp.Status, why)
	}
	var got receipt
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		return fmt.Errorf("reading the receipt: %w", err)
	}
	if want := file.sum(); got.Bytes != size || got.SHA256 != want {
		return fmt.Errorf("the store has %d bytes with hash %s, sent were %d with hash %s", got.Bytes, got.SHA256, size, want)
	}
	d := time.Since(start)
	say("uploaded %d MiB in %v, %s, hashes agree", size>>20, d.Round(time.Millisecond), rate(size, d))
	return nil
}

// file is a file that exists only while it is read: one random block, repeated
// and hashed on the way.
type file struct {
	block []byte
	at    int
	left  int64
	hash  hash.Hash
}

func newFile(size int64) *file {
	f := &file{block: make([]byte, 1<<20), left: size, hash: sha256.New()}
	noise := rand.NewChaCha8([32]byte{byte(size >> 20)})
	_, _ = noise.Read(f.block) // never fails
	return f
}

func (f *file) Read(p []byte) (int, error) {
	if f.left == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(int64(len(p)), f.left)], f.block[f.at:])
	f.hash.Write(p[:n])
	f.at = (f.at + n) % len(f.block)
	f.left -= int64(n)
	return n, nil
}

// sum is the hash of what was read so far.
func (f *file) sum() string { return hex.EncodeToString(f.hash.Sum(nil)) }
