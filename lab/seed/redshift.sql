-- `products` takes the day's raw rows; `products_f` is the curated table that is unloaded.
CREATE TABLE products (
    product_id  integer NOT NULL ENCODE az64,
    name        varchar(200) ENCODE lzo,
    category    varchar(50),
    price       decimal(10, 2),
    quantity    integer,
    updated_at  varchar(30)
) DISTSTYLE KEY DISTKEY (product_id) SORTKEY (product_id);

CREATE TABLE products_f (
    product_id  integer NOT NULL,
    name        varchar(200),
    category    varchar(50),
    price       decimal(10, 2),
    quantity    integer,
    stock_value decimal(14, 2),
    updated_at  timestamp,
    loaded_at   timestamp DEFAULT GETDATE()
) DISTSTYLE ALL;

-- Rows without a product id or a price do not go on; a product that is there already is replaced.
CREATE OR REPLACE PROCEDURE sp_products()
AS $$
BEGIN
    DELETE FROM products_f USING products WHERE products_f.product_id = products.product_id;
    INSERT INTO products_f (product_id, name, category, price, quantity, stock_value, updated_at)
    SELECT product_id, TRIM(name), LOWER(NVL(category, 'unknown')), price, NVL(quantity, 0), price * NVL(quantity, 0), updated_at::timestamp
    FROM products
    WHERE product_id IS NOT NULL AND price IS NOT NULL;
END;
$$ LANGUAGE plpgsql;
