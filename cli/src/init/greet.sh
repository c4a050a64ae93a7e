echo "Hello, {{ params.name }}: this run stands for {{ ds }}"
