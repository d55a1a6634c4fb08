// Package logic is what goctl leaves to be filled in.
package logic

import (
	"context"
	"time"

	"github.com/zeromicro/go-zero/core/logx"

	"rowkeep/bench/peers/go-zero/rest/internal/svc"
	"rowkeep/bench/peers/go-zero/rest/internal/types"
)

// GetItemLogic answers one request.
type GetItemLogic struct {
	logx.Logger
	ctx    context.Context
	svcCtx *svc.ServiceContext
}

// NewGetItemLogic is called by the generated handler.
func NewGetItemLogic(ctx context.Context, svcCtx *svc.ServiceContext) *GetItemLogic {
	return &GetItemLogic{Logger: logx.WithContext(ctx), ctx: ctx, svcCtx: svcCtx}
}

// GetItem reads through the generated, cached model.
func (l *GetItemLogic) GetItem(req *types.GetItemRequest) (*types.Item, error) {
	item, err := l.svcCtx.Items.FindOne(l.ctx, req.Id)
	if err != nil {
		return nil, err
	}
	return &types.Item{
		Id:          item.Id,
		Name:        item.Name,
		Email:       item.Email,
		Category:    int32(item.Category),
		City:        item.City,
		Price:       item.Price,
		Stock:       item.Stock,
		Active:      item.Active != 0,
		CreatedAt:   item.CreatedAt.Format(time.RFC3339Nano),
		Description: item.Description,
	}, nil
}
