// Package logic is what goctl leaves to be filled in.
package logic

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/zeromicro/go-zero/core/logx"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"rowkeep/bench/peers/go-zero/internal/svc"
	"rowkeep/bench/peers/go-zero/model"
	"rowkeep/bench/peers/go-zero/pb"
)

// GetItemLogic answers one request.
type GetItemLogic struct {
	ctx    context.Context
	svcCtx *svc.ServiceContext
	logx.Logger
}

// NewGetItemLogic is called by the generated server.
func NewGetItemLogic(ctx context.Context, svcCtx *svc.ServiceContext) *GetItemLogic {
	return &GetItemLogic{ctx: ctx, svcCtx: svcCtx, Logger: logx.WithContext(ctx)}
}

var asked atomic.Int64

// GetItem reads through the generated, cached model.
func (l *GetItemLogic) GetItem(in *pb.GetItemRequest) (*pb.Item, error) {
	id := in.Id
	if rows := l.svcCtx.Config.Rows; rows > 0 {
		id = asked.Add(1)%rows + 1
	}
	item, err := l.svcCtx.Items.FindOne(l.ctx, id)
	if errors.Is(err, model.ErrNotFound) {
		return nil, status.Error(codes.NotFound, "no such item")
	}
	if err != nil {
		return nil, err
	}
	return message(item), nil
}

func message(item *model.Items) *pb.Item {
	return &pb.Item{
		Id:          item.Id,
		Name:        item.Name,
		Email:       item.Email,
		Category:    int32(item.Category),
		City:        item.City,
		Price:       item.Price,
		Stock:       item.Stock,
		Active:      item.Active != 0,
		CreatedAt:   timestamppb.New(item.CreatedAt),
		Description: item.Description,
	}
}
