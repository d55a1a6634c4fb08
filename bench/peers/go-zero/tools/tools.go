//go:build tools

// Package tools pins what generates the peer.
package tools

import (
	_ "github.com/zeromicro/go-zero/tools/goctl"
	_ "google.golang.org/grpc/cmd/protoc-gen-go-grpc"
	_ "google.golang.org/protobuf/cmd/protoc-gen-go"
)
