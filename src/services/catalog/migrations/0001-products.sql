-- Products. Written in the transaction of their changes, so they are never behind or ahead of them.

CREATE SCHEMA IF NOT EXISTS catalog;

CREATE TABLE catalog.products (
  product_id  uuid        PRIMARY KEY,
  sku         text        NOT NULL UNIQUE,
  name        text        NOT NULL,
  description text,
  price_minor bigint      NOT NULL CHECK (price_minor > 0),
  currency    text        NOT NULL,
  status      text        NOT NULL,
  created_at  timestamptz NOT NULL,
  updated_at  timestamptz NOT NULL,
  version     bigint      NOT NULL,
  -- No language: names of products are names, and SKUs are no words at all.
  words       tsvector    NOT NULL GENERATED ALWAYS AS
    (to_tsvector('simple', sku || ' ' || name || ' ' || coalesce(description, ''))) STORED
);

COMMENT ON COLUMN catalog.products.product_id IS 'A function of sku (productIdOf).';

CREATE INDEX products_by_words ON catalog.products USING gin (words);
